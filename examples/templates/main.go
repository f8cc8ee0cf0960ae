// Command templates renders HCL templates through the render cache: parsed forms are shared while they are used,
// results are kept for each owner and set of parameters, and every answer says where it comes from. At the end it
// replays a day's requests to show what different budgets would bring.
//
//	go run ./examples/templates
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
)

//go:embed box.hcl
var source []byte

func main() {
	out := flag.String("out", "budget.svg", "where the budget's picture is written")
	flag.Parse()
	if err := run(context.Background(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "templates:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string) error {
	if err := tour(ctx, os.Stdout); err != nil {
		return err
	}
	return budget(ctx, os.Stdout, out)
}
