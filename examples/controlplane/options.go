//go:build linux

package main

import (
	"cmp"
	"flag"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// options are what the program is started with.
type options struct {
	listen, data, database string
	metrics                string
	tlsCert, tlsKey        string
	insecure, demo         bool
	speed                  int
	workers, pool, rate    int
	idle                   time.Duration
	look                   time.Duration

	// Of the other roles.
	role, launch, url, name string
	slots                   int
	tags                    map[string]string
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("controlplane", flag.ContinueOnError)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on; any other than loopback needs -tls-cert, or -insecure")
	f.StringVar(&o.metrics, "metrics", "", "address of a listener for /metrics alone; beside the pages, and for loopback only, if it is left out")
	f.StringVar(&o.data, "data", "controlplane-data", "folder of the database, the workspaces and the tokens; replicas on one machine share it")
	f.StringVar(&o.database, "database", "", "postgres://.. to keep everything in PostgreSQL; an SQLite file in the folder otherwise")
	f.StringVar(&o.tlsCert, "tls-cert", "", "certificate, in PEM")
	f.StringVar(&o.tlsKey, "tls-key", "", "its key")
	f.BoolVar(&o.insecure, "insecure", false, "listen without a certificate where others can listen too")
	f.BoolVar(&o.demo, "demo", true, "make templates, owners and workspaces at the first start")
	f.IntVar(&o.speed, "speed", 1, "how many times faster than the clock workspaces live, for a demonstration")
	f.IntVar(&o.workers, "workers", 4, "how many worker processes come and go with the builds; 0 for none of its own")
	f.IntVar(&o.pool, "pool", 1, "how many workspaces of the template sandbox are kept ready to be claimed")
	f.IntVar(&o.rate, "rate", 50, "how many requests a second one token may make")
	f.DurationVar(&o.idle, "idle", 20*time.Second, "how long a worker process without work stays")
	f.DurationVar(&o.look, "look", 2*time.Second, "how often the processes of workspaces are looked at")
	f.StringVar(&o.role, "role", "serve", "serve, worker (carries builds out), or workspace (is one)")
	f.StringVar(&o.launch, "launch", "", "worker: the file with its registration")
	f.StringVar(&o.url, "url", "", "worker: addresses of the control plane; those of the folder otherwise")
	f.StringVar(&o.name, "name", "worker", "worker: its name in the log")
	f.IntVar(&o.slots, "slots", 2, "worker: how many builds at once")
	f.Func("tag", "worker: key=value; may be repeated", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("must be key=value")
		}
		if o.tags == nil {
			o.tags = map[string]string{}
		}
		o.tags[key] = value
		return nil
	})
	if err = f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	return o, o.validate()
}

func (o options) validate() error {
	switch {
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return invalid.New("-tls-cert", o.tlsCert, "must be given together with -tls-key")
	case o.speed < 1 || o.speed > 300:
		return invalid.New("-speed", o.speed, "must be between 1 and 300: what the machine has to do in between takes its time")
	case o.workers < 0 || o.workers > 64:
		return invalid.New("-workers", o.workers, "must be between 0 and 64")
	case o.pool < 0 || o.pool > 100:
		return invalid.New("-pool", o.pool, "must be between 0 and 100")
	case o.rate < 1:
		return invalid.New("-rate", o.rate, "must be at least 1")
	case o.idle < time.Second:
		return invalid.New("-idle", o.idle, "must be at least 1s")
	case o.look < 100*time.Millisecond:
		return invalid.New("-look", o.look, "must be at least 100ms")
	case o.database != "" && !strings.HasPrefix(o.database, "postgres://") && !strings.HasPrefix(o.database, "postgresql://"):
		return invalid.New("-database", "(not shown)", "must be a URL that begins with postgres://") // it may hold a password
	}
	return cmp.Or(o.validateListen(), o.validateMetrics())
}

// validateListen keeps tokens from travelling where others can read them.
func (o options) validateListen() error {
	loopback, err := onLoopback("-listen", o.listen)
	if err == nil && !loopback && o.tlsCert == "" && !o.insecure {
		err = invalid.New("-listen", o.listen, "must be a loopback address, unless -tls-cert and -tls-key, or -insecure, are given")
	}
	return err
}

func (o options) validateMetrics() error {
	if o.metrics == "" {
		return nil
	}
	loopback, err := onLoopback("-metrics", o.metrics)
	if err == nil && !loopback && !o.insecure {
		err = invalid.New("-metrics", o.metrics, "must be a loopback address, unless -insecure is given: nobody is asked who they are")
	}
	return err
}

func onLoopback(name, address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, invalid.New(name, address, "must be an address and a port, such as 127.0.0.1:8080")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}
