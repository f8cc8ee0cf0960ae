//go:build linux

package localprocess_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

func TestMain(m *testing.M) {
	localprocess.Init()
	os.Exit(m.Run())
}

// provider makes one in a folder with a short name, and ends its instances with the test.
func provider(t *testing.T, cfg localprocess.Config) (*localprocess.Provider, string) {
	t.Helper()
	root, err := os.MkdirTemp("", "lp")
	if err != nil {
		t.Fatal(err)
	}
	p, err := localprocess.New(root, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		all, err := p.List(context.Background(), nil)
		for _, in := range all {
			err = errors.Join(err, p.Destroy(context.Background(), in.ID))
		}
		if err := errors.Join(err, os.RemoveAll(root)); err != nil {
			t.Error(err)
		}
	})
	return p, root
}

func order(pool string) workerpool.Order {
	return workerpool.Order{Type: workerpool.InstanceType{Name: "local", ProviderType: "local"}, Tags: map[string]string{"pool": pool}}
}

// booted makes an instance that answers, and says how many processes it has then.
func booted(t *testing.T) (p *localprocess.Provider, in workerpool.Instance, idle int) {
	t.Helper()
	p, _ = provider(t, localprocess.Config{})
	in, err := p.Create(t.Context(), order("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, p, in, "true", ""); err != nil {
		t.Fatal(err)
	}
	return p, in, len(p.Processes(in.ID))
}

// run runs a command, again while the instance boots.
func run(t *testing.T, p *localprocess.Provider, in workerpool.Instance, command, stdin string) (string, error) {
	t.Helper()
	for {
		var out bytes.Buffer
		err := p.Run(t.Context(), workerpool.Target{ID: in.ID, Address: in.Address}, command, strings.NewReader(stdin), &out)
		if err == nil || !strings.Contains(err.Error(), "dial unix") || t.Context().Err() != nil {
			return out.String(), err
		}
	}
}

func TestInstancesLife(t *testing.T) {
	p, root := provider(t, localprocess.Config{Max: 2})
	ctx := t.Context()
	a, err := p.Create(ctx, order("one"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Create(ctx, order("two"))
	if err != nil {
		t.Fatal(err)
	}
	var quota workerpool.QuotaError
	if _, err := p.Create(ctx, order("three")); !errors.As(err, &quota) {
		t.Errorf("beyond the quota: %v", err)
	}
	if list, err := p.List(ctx, map[string]string{"pool": "one"}); err != nil || len(list) != 1 || list[0].ID != a.ID || list[0].Tags["pool"] != "one" {
		t.Errorf("list %+v, %v", list, err)
	}
	if err := p.SetTags(ctx, a.ID, map[string]string{"x": "y"}); err != nil {
		t.Fatal(err)
	}
	again, err := localprocess.New(root, localprocess.Config{}) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	if list, err := again.List(ctx, map[string]string{"pool": "one", "x": "y"}); err != nil || len(list) != 1 {
		t.Errorf("list %+v, %v", list, err)
	}
	if out, err := run(t, p, a, "cat; echo $((1+1))", "hello "); err != nil || out != "hello 2\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run(t, p, a, "echo bad >&2; exit 4", ""); err == nil || !strings.Contains(err.Error(), "exit status 4: bad") {
		t.Errorf("%v", err)
	}
	if err := p.Destroy(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	var absent workerpool.AbsentError
	for what, err := range map[string]error{
		"destroy": p.Destroy(ctx, a.ID), "tags": p.SetTags(ctx, a.ID, nil), "elsewhere": p.Destroy(ctx, "../x"),
	} {
		if !errors.As(err, &absent) {
			t.Errorf("%s of an instance that is gone: %v", what, err)
		}
	}
	if list, err := p.List(ctx, nil); err != nil || len(list) != 1 || list[0].ID != b.ID {
		t.Errorf("list %+v, %v", list, err)
	}
}

// Jobs outlive the command that started them, and end with their instance, whatever they do.
func TestDestroyEndsEverything(t *testing.T) {
	p, _ := provider(t, localprocess.Config{})
	in, err := p.Create(t.Context(), order("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, p, in, "dormouse-runner start job", "trap '' TERM HUP; setsid sleep 1000 & sleep 1000"); err != nil {
		t.Fatal(err)
	}
	for {
		out, err := run(t, p, in, "dormouse-runner list", "")
		if err != nil || out != "job\n" {
			t.Fatalf("%q, %v", out, err)
		}
		if len(p.Processes(in.ID)) >= 5 { // instance, supervisor, shell, two sleeps
			break
		}
	}
	pids := p.Processes(in.ID)
	if err := p.Destroy(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if link, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err == nil {
			t.Errorf("process %d lives: %s", pid, link)
		}
	}
}

// An instance whose first process is killed is still there while its jobs are.
func TestFirstProcessKilled(t *testing.T) {
	p, _ := provider(t, localprocess.Config{})
	in, err := p.Create(t.Context(), order("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, p, in, "dormouse-runner start job", "sleep 1000"); err != nil {
		t.Fatal(err)
	}
	first := p.Processes(in.ID)[0]
	process, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	_ = process.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil { // the kill takes a moment
		if err := p.Run(ctx, workerpool.Target{ID: in.ID}, "true", strings.NewReader(""), io.Discard); err != nil {
			break
		}
	}
	if list, err := p.List(t.Context(), nil); err != nil || len(list) != 1 {
		t.Errorf("list %v, %v", list, err)
	}
}

// An instance stays alive however many commands it has run.
func TestInstanceOutlivesItsGarbage(t *testing.T) {
	p, _ := provider(t, localprocess.Config{Env: []string{"GOGC=1"}})
	in, err := p.Create(t.Context(), order("one"))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if _, err := run(t, p, in, "true", ""); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := p.List(t.Context(), nil); err != nil || len(list) != 1 {
		t.Errorf("list %v, %v", list, err)
	}
}

func TestCommandEndsWithItsContextAndItsReader(t *testing.T) {
	p, in, idle := booted(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Run(ctx, workerpool.Target{ID: in.ID}, "exec sleep 1000", strings.NewReader(""), io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	full := errors.New("enough")
	if err := p.Run(t.Context(), workerpool.Target{ID: in.ID}, "exec yes", strings.NewReader(""), refusing{full}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	for deadline := time.Now().Add(time.Minute); len(p.Processes(in.ID)) > idle; {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes are left", len(p.Processes(in.ID))-idle)
		}
	}
}

// What a command has begun ends with it: nobody minds it any more, and whoever comes next finds what is there.
func TestWhatACommandRunsEndsWithIt(t *testing.T) {
	p, in, idle := booted(t)
	for _, command := range []string{"sleep 1000", "sleep 1000; true", "sh -c 'sleep 1000; true' | cat; true", "sleep 1000 & sleep 1000"} {
		begun := errors.New("begun")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			for len(p.Processes(in.ID)) < idle+2 && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel(begun)
		}()
		if err := p.Run(ctx, workerpool.Target{ID: in.ID}, command, strings.NewReader(""), io.Discard); !errors.Is(err, begun) {
			t.Errorf("%s: %v", command, err)
		}
		for deadline := time.Now().Add(time.Minute); len(p.Processes(in.ID)) > idle; {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d processes are left", command, len(p.Processes(in.ID))-idle)
			}
		}
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }

func TestRefusedInput(t *testing.T) {
	for _, c := range []struct {
		root string
		cfg  localprocess.Config
	}{{"/" + strings.Repeat("x", 100), localprocess.Config{}}, {t.TempDir(), localprocess.Config{Max: -1}}, {t.TempDir(), localprocess.Config{BootTime: -1}}} {
		if _, err := localprocess.New(c.root, c.cfg); !errors.Is(err, invalid.Err) {
			t.Errorf("%v", err)
		}
	}
}
