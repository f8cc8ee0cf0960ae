//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/client"
	"github.com/dormouse-go/dormouse/examples/controlplane/elastic"
	"github.com/dormouse-go/dormouse/examples/controlplane/provision"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/workerpool/runner"
)

// tokenVariable holds the token of a worker that somebody starts by hand: the environment is not shown in lists of processes, as
// arguments are.
const tokenVariable = "PLANE_TOKEN"

// silence is how long a worker may go unheard before its builds are given to another one.
const silence = 10 * time.Second

// Variables by which elastic workers, which start as jobs of a machine, know what the control plane was started with.
const (
	dataVariable = "PLANE_DATA"
	idleVariable = "PLANE_IDLE"
	caVariable   = "PLANE_CA"
)

// elasticRunner makes the job of a machine a worker: this program again, with its launch in a file.
func elasticRunner() runner.Config {
	return runner.Config{Command: func(_, payload string) *exec.Cmd {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		return exec.Command(self, "-role", "worker", "-launch", payload)
	}}
}

// runWorker carries builds out until ctx ends, or until there was nothing to do for as long as an elastic worker stays.
func runWorker(ctx context.Context, o options) error {
	detachChildren()
	launch, err := launchOf(o)
	if err != nil {
		return err
	}
	idle := time.Duration(0)
	if launch.Elastic {
		o.data = os.Getenv(dataVariable)
		idle, _ = time.ParseDuration(os.Getenv(idleVariable))
	}
	all, err := provisioners(o.data)
	if err != nil {
		return err
	}
	h, err := httpClient(os.Getenv(caVariable))
	if err != nil {
		return err
	}
	source := client.Source{Client: client.New(func() []string { return addresses(o) }, launch.Token, h)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handler := provision.Handler(all)
	if idle > 0 {
		handler = untilIdle(ctx, cancel, idle, handler)
	}
	types := []string{lifecycle.JobType}
	w, err := worker.New(source, handler, worker.Config{
		Types: types, Tags: launch.Tags, Slots: max(1, launch.Slots), Silence: silence, Flush: 500 * time.Millisecond,
		Drain: 30 * time.Second, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)).With("worker", launch.Name),
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

func launchOf(o options) (l elastic.Launch, err error) {
	if o.launch == "" {
		l = elastic.Launch{Name: o.name, Token: os.Getenv(tokenVariable), Work: auth.Work{Slots: o.slots, Tags: o.tags}}
		_ = os.Unsetenv(tokenVariable) // what the worker starts has no use for it
		if l.Token == "" {
			err = fmt.Errorf("%s is not set: an admin makes tokens of workers (POST /api/v1/workers)", tokenVariable)
		}
		return l, err
	}
	text, err := os.ReadFile(o.launch)
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	return l, err
}

// untilIdle ends a worker that had nothing to do for a while.
func untilIdle(ctx context.Context, end func(), idle time.Duration, h worker.Handler) worker.Handler {
	var busy atomic.Int64
	timer := time.AfterFunc(idle, func() {
		if busy.Load() == 0 {
			end()
		}
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
	return func(ctx context.Context, t *worker.Task) ([]byte, error) {
		busy.Add(1)
		defer func() {
			busy.Add(-1)
			timer.Reset(idle)
		}()
		return h(ctx, t)
	}
}

// provisioners are those that work on this machine.
func provisioners(data string) (map[string]provision.Provisioner, error) {
	processes, err := provision.NewProcesses(data)
	if err != nil {
		return nil, err
	}
	all := map[string]provision.Provisioner{provision.Process: processes}
	if binary := provision.TerraformBinary(); binary != "" {
		all[provision.Terraform] = provision.NewStacks(data, binary)
	}
	return all, nil
}

// detachChildren keeps what this process was given from those that it starts: a machine takes whoever has its files for its own,
// and ends them with it, and workspaces outlive the worker that has started them.
func detachChildren() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// addresses are where the control plane may be reached: where the flag says, or where the replicas of this folder say that they are.
func addresses(o options) []string {
	if o.url != "" {
		return strings.Split(o.url, ",")
	}
	files, _ := filepath.Glob(filepath.Join(o.data, "replicas", "*"))
	var all []string
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			all = append(all, strings.TrimSpace(string(text)))
		}
	}
	return all
}

// httpClient trusts one more certificate, if it is named.
func httpClient(ca string) (*http.Client, error) {
	if ca == "" {
		return &http.Client{}, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("the certificate cannot be read")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}, nil
}
