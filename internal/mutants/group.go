package main

import (
	"cmp"
	"fmt"
	"os"
	"sync"
	"time"
)

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// failures are what kept a run from saying something, from several goroutines.
type failures struct {
	mu    sync.Mutex
	n     int
	first error
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.first = cmp.Or(f.first, err)
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n > 1 {
		return fmt.Errorf("%w (and %d more like it)", f.first, f.n-1)
	}
	return f.first
}

// group runs functions, some at a time.
type group struct {
	wg    sync.WaitGroup
	slots chan struct{}
}

func (g *group) run(limit int, f func()) {
	if g.slots == nil {
		g.slots = make(chan struct{}, limit)
	}
	g.slots <- struct{}{}
	g.wg.Go(func() {
		defer func() { <-g.slots }()
		f()
	})
}

func (g *group) wait() { g.wg.Wait() }
