// Command plots draws the pictures of docs/forecast.md:
//
//	go run ./internal/bench/forecast/plots docs/performance
package main

import (
	"fmt"
	"os"

	"github.com/dormouse-go/dormouse/internal/bench/forecast"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "plots: one argument, the folder to write to")
		os.Exit(2)
	}
	if err := forecast.Plots(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}
