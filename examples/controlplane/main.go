//go:build linux

// Command controlplane is a control plane that runs, of every package together: real processes as workspaces, real workers that come
// and go, an HTTP API, and pages to look at. It needs no database and no configuration:
//
//	go run ./examples/controlplane
//
// prints where it listens and what to try. It may be killed at any time, and any number of replicas may share a PostgreSQL
// database:
//
//	go run ./examples/controlplane -database postgres://.. -listen 127.0.0.1:8081
//
// Its parts are packages beside it, of a few hundred lines each, to take from: auth (tokens), api (routes, limits, problems), records
// (tables of its own), provision (what workspaces are made of), elastic (workers that come and go), client (of the API).
//
// It needs Linux: the processes of workspaces and workers are found in /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dormouse-go/dormouse/examples/controlplane/box"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

func main() {
	localprocess.InitWith(elasticRunner())
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	switch o.role {
	case "serve":
		return serve(ctx, o)
	case "worker":
		return runWorker(ctx, o)
	case "workspace":
		return box.Main()
	}
	return fmt.Errorf("-role %q: must be serve, worker or workspace", o.role)
}
