package workerpool_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/workerpooltest"
)

// deafSet is a provider whose listings, or whose destructions of one instance, do not heed their contexts.
type deafSet struct {
	*workerpooltest.Provider
	goOn     chan struct{}
	lists    atomic.Bool
	destroys atomic.Value // an InstanceID
	hung     atomic.Int32
}

func (d *deafSet) List(ctx context.Context, tags map[string]string) ([]Instance, error) {
	if d.lists.Load() {
		d.hung.Add(1)
		<-d.goOn
	}
	return d.Provider.List(ctx, tags)
}

func (d *deafSet) Destroy(ctx context.Context, id InstanceID) error {
	if d.destroys.Load() == id {
		d.hung.Add(1)
		<-d.goOn
	}
	return d.Provider.Destroy(ctx, id)
}

// withDeaf runs a test with a pool over a provider that is deaf to what the test says. At its end Run returns, with an error that names
// what hangs, whether or not that ever returns.
func withDeaf(t *testing.T, named string, test func(p *Pool, d *deafSet)) {
	synctest.Test(t, func(t *testing.T) {
		d := &deafSet{Provider: workerpooltest.NewProvider(nil), goOn: make(chan struct{})}
		p, err := New(d, d, nil, Config{
			SyncInterval: 10 * time.Second, OperationTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
			Limits: Limits{Types: []InstanceType{small()}, IdleTimeout: time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(15 * time.Second)
		test(p, d)
		cancel()
		select {
		case err = <-ended:
			if err == nil || !strings.Contains(err.Error(), named) {
				t.Errorf("Run returned %v, want what names %q", err, named)
			}
		case <-time.After(time.Minute):
			t.Error("Run has not returned")
		}
		close(d.goOn)
		synctest.Wait()
		if n := p.Stats().Stuck; n != 0 {
			t.Errorf("%d calls are stuck though they have returned", n)
		}
	})
}

// However long the listings of a provider hang, no more than a hundred of them are left behind.
func TestListingsThatDoNotReturn(t *testing.T) {
	withDeaf(t, "list", func(p *Pool, d *deafSet) {
		d.lists.Store(true)
		time.Sleep(24 * time.Hour)
		if n := d.hung.Load(); n != 100 {
			t.Errorf("%d listings hang", n)
		}
		if s := p.Stats(); s.Stuck != 100 || s.ListingErrors < 200 {
			t.Errorf("%d calls are stuck, %d listings failed", s.Stuck, s.ListingErrors)
		}
	})
}

// An instance whose destruction hangs takes no places of others: they are destroyed, however often it is tried.
func TestDestructionsThatDoNotReturn(t *testing.T) {
	withDeaf(t, "destroy i-00001", func(p *Pool, d *deafSet) {
		d.destroys.Store(InstanceID("i-00001"))
		for range 2 {
			if _, err := p.Create("small"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(72 * time.Hour) // they idle for an hour
		if n := d.hung.Load(); n != 3 {
			t.Errorf("%d destructions of one instance hang", n)
		}
		if left := d.Instances(); len(left) != 1 {
			t.Errorf("instances %v, want the one that hangs", left)
		}
	})
}
