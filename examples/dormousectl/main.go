// Command dormousectl asks a control plane why, what next, and what if: over the API of examples/controlplane, or directly on the
// database of any host of this library.
//
//	dormousectl --token-file controlplane-data/tokens.txt list
//	dormousectl --database plane.db explain api
//	dormousectl --database postgres://.. doctor
//
// Directly on a database it runs nothing: it reads, and writes what a verb asks for; the control plane that runs there does the rest.
// Its shell completion (dormousectl completion) knows the names of workspaces.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/dormouse-go/dormouse/examples/controlplane/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	switch {
	case errors.Is(err, errUnwell):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "dormousectl:", sentence(explained(err).Error()))
		os.Exit(1)
	}
}

// explained says of a request that got no answer whom it was for, and of a token that is not known which flags it is from.
func explained(err error) error {
	if refused := (*client.Error)(nil); errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return errors.New("the control plane knows no such token (--token, --token-file or PLANE_TOKEN)")
	}
	var request *url.Error
	if !errors.As(err, &request) {
		return err
	}
	at := request.URL
	if u, parsed := url.Parse(at); parsed == nil {
		at = u.Scheme + "://" + u.Host
	}
	return fmt.Errorf("the control plane at %s (--url) does not answer: %w", at, request.Err)
}

func newRoot() *cobra.Command {
	c := &ctl{}
	root := &cobra.Command{
		Use: "dormousectl", Short: "ask a control plane why, what next, and what if",
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.open(cmd.Context()) },
	}
	f := root.PersistentFlags()
	f.StringVar(&c.url, "url", env("PLANE_URL", "http://127.0.0.1:8080"), "address of the control plane (PLANE_URL)")
	f.StringVar(&c.token, "token", os.Getenv("PLANE_TOKEN"), "token of the API (PLANE_TOKEN)")
	f.StringVar(&c.tokenFile, "token-file", "", "a file with lines \"kind name token\", such as tokens.txt; the first counts, or that of --as")
	f.StringVar(&c.as, "as", "", "whose token of --token-file to take")
	f.StringVar(&c.database, "database", "", "work on this database: the path of an SQLite file, or postgres://..")
	f.StringVar(&c.organization, "organization", "", "id of the organization to work for, with --database; the one of nobody in particular if it is left out")
	f.StringVarP(&c.output, "output", "o", "table", "how to show answers: table or json")
	root.AddCommand(c.list(), c.explain(), c.upcoming(), c.hold(), c.plan(), c.apply(), c.forecast(), c.simulate(), c.jobs(), c.doctor(), c.migrate(), c.bundle())
	return root
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
