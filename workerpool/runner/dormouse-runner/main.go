// Command dormouse-runner keeps the jobs of a worker; see package runner.
package main

import (
	"fmt"
	"os"

	"github.com/dormouse-go/dormouse/workerpool/runner"
)

func main() {
	os.Args[0] = runner.Name
	runner.Init(runner.Config{})
	fmt.Fprintln(os.Stderr, "unreachable")
}
