package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// asUsed refuses other arguments than those of the command's Use, and names the one that is missing or too many. A word in brackets may
// be left out.
func asUsed(cmd *cobra.Command, args []string) error {
	words := strings.Fields(cmd.Use)[1:]
	for i, word := range words {
		if i >= len(args) && !strings.HasPrefix(word, "[") {
			return fmt.Errorf("%s is missing: %s %s", word, cmd.CommandPath(), strings.Join(words, " "))
		}
	}
	if len(args) > len(words) {
		usage := strings.Join(append([]string{cmd.CommandPath()}, words...), " ")
		if cmd.HasAvailableSubCommands() {
			usage += ", or one of the commands that " + usage + " --help lists"
		}
		return fmt.Errorf("unexpected argument %q: %s", queue.CleanText(args[len(words)], 80), usage)
	}
	return nil
}
