// Operatorpage shows the pages of a fleet in a browser, with no database and no workspaces: the fleet is scripted, and goes
// on from where the script ends. It is the way to look at package webui before there is a host for it.
//
//	go run ./examples/operatorpage
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8020", "loopback address to listen on")
	speed := flag.Int("speed", 1, "how many times faster than the clock the fleet lives")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := listenLoopback(*listen)
	if err != nil {
		log.Fatal(err)
	}
	tell(l.Addr().String())
	if err := run(ctx, l, *speed); err != nil {
		log.Fatal(err)
	}
}

// run serves the pages until ctx ends.
func run(ctx context.Context, l net.Listener, speed int) error {
	began := time.Now()
	fleet := webuitest.New(began)
	clock := newFastClock(began, speed)
	pages, err := webui.New(fleet, webui.Config{
		Viewer: viewer(fleet), Actions: true, Capacity: webuitest.Capacity, Zone: time.Local, Clock: clock,
	})
	if err != nil {
		return err
	}
	go live(ctx, fleet, clock)
	server := over(pages)
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.WithoutCancel(ctx)) })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// over is a server that nobody keeps waiting. It has no ReadTimeout, which would end the streams that keep pages up to date: the pages
// bound what is sent to them by themselves, and streams what they send.
func over(pages *webui.Handler) *http.Server {
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	server.RegisterOnShutdown(pages.Close)
	return server
}

// listenLoopback refuses any other address: whoever reaches these pages may press their buttons.
func listenLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("-listen %q: must be a loopback address and a port, such as 127.0.0.1:8020", address)
	}
	return net.Listen("tcp", address)
}

// viewer stands for a login: one person is the operator and an owner. A host looks into its session here.
func viewer(fleet *webuitest.Fleet) func(*http.Request) (webui.Viewer, bool) {
	juno := fleet.Owner("juno")
	return func(*http.Request) (webui.Viewer, bool) {
		return webui.Viewer{Name: "juno", Operator: true, Owner: juno, MayAct: true}, true
	}
}

// live lets the fleet go on.
func live(ctx context.Context, fleet *webuitest.Fleet, clock *fastClock) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			fleet.Advance(clock.Now())
		}
	}
}

func tell(address string) {
	fmt.Printf(`A scripted fleet of some two hundred workspaces; nothing of it is real, and nothing is kept.

  http://%s/       the operator's page
  http://%[1]s/mine   the page of an owner, juno

Things to try:
  - press a name in the timeline, and read why it does what it does
  - filter by state, zoom to 6 h or 14 d, follow a number at the top
  - compare: let go-dev run 6h at most, and look at the next seven days
  - on juno's page: +1 h for quill, or type working hours and check them before you save
  - switch JavaScript off: everything is still there

End with Ctrl-C.
`, address)
}
