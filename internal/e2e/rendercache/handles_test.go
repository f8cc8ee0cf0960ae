package rendercache_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// handleModel is what handles are: per key one value or one fetch, and who refers to it.
type handleModel struct {
	t       *testing.T
	handles *rendercache.Handles[string, int]
	calls   int
	current map[string]*share
	fetches map[int]*share // under way, by the call that started them
	waiting map[int]*share
	held    map[int]*share
	got     map[int]answerOf
	handed  map[int]bool // values given to OnRelease
	dropped map[int]bool // values that should have been
	cancels map[int]context.CancelFunc
	tells   map[int]chan outcome
	ctxs    map[int]context.Context
	ended   chan handleResult
	handle  map[int]*rendercache.Handle[int]
	errs    map[int]error
}

// share is one fetch and what it brought; its number is that of the call that started it.
type share struct {
	key    string
	number int
	refs   map[int]bool
	gone   bool // from the table
}

type answerOf struct {
	share *share
	err   error
}

type handleResult struct {
	call   int
	handle *rendercache.Handle[int]
	err    error
}

func TestHandlesBehaveLikeTheirModel(t *testing.T) {
	check(t, func(t *testing.T, rt *rapid.T) {
		m := &handleModel{
			t: t, current: map[string]*share{}, fetches: map[int]*share{}, waiting: map[int]*share{}, held: map[int]*share{},
			got: map[int]answerOf{}, handed: map[int]bool{}, dropped: map[int]bool{}, cancels: map[int]context.CancelFunc{}, tells: map[int]chan outcome{},
			ctxs: map[int]context.Context{}, ended: make(chan handleResult, 1000), handle: map[int]*rendercache.Handle[int]{}, errs: map[int]error{},
		}
		var err error
		m.handles, err = rendercache.NewHandles(rendercache.HandlesConfig[string, int]{OnRelease: func(_ string, number int) {
			if m.handed[number] {
				t.Errorf("value %d was released twice", number)
			}
			m.handed[number] = true
		}})
		if err != nil {
			rt.Fatal(err)
		}
		defer m.leave()
		rt.Repeat(map[string]func(*rapid.T){
			"acquire": m.acquire, "acquire too": m.acquire, "finish": m.finish, "cancel": m.cancel, "release": m.release, "": m.compare,
		})
		m.close(rt)
	})
}

func (m *handleModel) acquire(rt *rapid.T) {
	key := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key")
	m.calls++
	call := m.calls
	s := m.current[key]
	switch {
	case s == nil:
		s = &share{key: key, number: call, refs: map[int]bool{call: true}}
		m.current[key], m.fetches[call], m.waiting[call] = s, s, s
	case m.fetches[s.number] != nil:
		s.refs[call] = true
		m.waiting[call] = s
	default:
		s.refs[call] = true
		m.held[call], m.got[call] = s, answerOf{share: s}
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	m.cancels[call] = cancel
	go func() {
		handle, err := m.handles.Acquire(ctx, key, func(ctx context.Context) (int, error) {
			tell := make(chan outcome)
			m.tells[call], m.ctxs[call] = tell, ctx
			switch <-tell {
			case succeeds:
				return call, nil
			case panics:
				panic("model")
			case exits:
				runtime.Goexit()
			}
			return call, errPlain
		})
		m.ended <- handleResult{call, handle, err}
	}()
	synctest.Wait()
}

func (m *handleModel) finish(rt *rapid.T) {
	number := pick(rt, m.fetches)
	o := rapid.SampledFrom([]outcome{succeeds, succeeds, succeeds, fails, panics, exits}).Draw(rt, "outcome")
	m.end(number, o)
}

func (m *handleModel) end(number int, o outcome) {
	s := m.fetches[number]
	delete(m.fetches, number)
	for call := range s.refs {
		delete(m.waiting, call)
		if o == succeeds {
			m.held[call], m.got[call] = s, answerOf{share: s}
		} else {
			m.got[call] = answerOf{err: errPlain}
		}
	}
	switch {
	case o != succeeds:
		clear(s.refs)
		m.drop(s)
	case s.gone: // nobody wanted it any more
		m.dropped[number] = true
	}
	m.tells[number] <- o
	delete(m.tells, number)
	synctest.Wait()
}

func (m *handleModel) cancel(rt *rapid.T) {
	call := pick(rt, m.waiting)
	s := m.waiting[call]
	delete(m.waiting, call)
	delete(s.refs, call)
	m.got[call] = answerOf{err: context.Canceled}
	if len(s.refs) == 0 {
		m.drop(s)
	}
	m.cancels[call]()
	synctest.Wait()
}

func (m *handleModel) release(rt *rapid.T) {
	call := pick(rt, m.held)
	s := m.held[call]
	delete(m.held, call)
	delete(s.refs, call)
	if len(s.refs) == 0 {
		m.drop(s)
		m.dropped[s.number] = true
	}
	m.handle[call].Release()
	m.handle[call].Release() // counts once
}

func (m *handleModel) drop(s *share) {
	s.gone = true
	if m.current[s.key] == s {
		delete(m.current, s.key)
	}
}

func (m *handleModel) compare(rt *rapid.T) {
	for len(m.ended) > 0 {
		r := <-m.ended
		m.handle[r.call], m.errs[r.call] = r.handle, r.err
	}
	want(rt, "number of calls that have ended", len(m.errs), len(m.got))
	for call, a := range m.got {
		err := m.errs[call]
		var panicked *rendercache.PanicError
		switch {
		case a.err == nil && err != nil, a.err != nil && err == nil:
			rt.Fatalf("call %d got %v, the model says %v", call, err, a.err)
		case errors.Is(a.err, context.Canceled) != errors.Is(err, context.Canceled):
			rt.Fatalf("call %d got %v, the model says %v", call, err, a.err)
		case err != nil && errors.Is(a.err, errPlain) && !errors.Is(err, errPlain) && !errors.Is(err, rendercache.ErrGoexit) && !errors.As(err, &panicked):
			rt.Fatalf("call %d got %v", call, err)
		case err == nil:
			want(rt, "value", m.handle[call].Value(), a.share.number)
			want(rt, "released", m.handed[a.share.number], a.share.gone)
		}
	}
	if !maps.Equal(m.handed, m.dropped) {
		rt.Fatalf("released are %v, the model says %v", m.handed, m.dropped)
	}
	for number, s := range m.fetches {
		want(rt, "fetch told to stop", m.ctxs[number].Err() != nil, s.gone)
	}
	values, references := 0, 0
	for _, s := range m.current {
		references += len(s.refs)
		if m.fetches[s.number] == nil {
			values++
		}
	}
	st := m.handles.Stats()
	want(rt, "values", st.Values, values)
	want(rt, "references", st.References, references)
}

// close closes the handles: fetches are told to stop and waited for, held values stay good.
func (m *handleModel) close(rt *rapid.T) {
	closed := make(chan struct{})
	go func() { m.handles.Close(); close(closed) }()
	synctest.Wait()
	for _, number := range slices.Sorted(maps.Keys(m.fetches)) {
		if m.ctxs[number].Err() == nil {
			rt.Fatalf("the fetch of call %d was not told to stop", number)
		}
		select {
		case <-closed:
			rt.Fatalf("Close returned while the fetch of call %d was running", number)
		default:
		}
		m.end(number, succeeds)
	}
	<-closed
	m.compare(rt)
	for len(m.held) > 0 {
		m.release(rt)
	}
	m.compare(rt)
	want(rt, "values after the last release", m.handles.Stats().Values, 0)
}

func (m *handleModel) leave() {
	for _, cancel := range m.cancels {
		cancel()
	}
	for _, tell := range m.tells {
		tell <- fails
	}
	m.handles.Close()
}

func pick(rt *rapid.T, from map[int]*share) int {
	if len(from) == 0 {
		rt.Skip("nothing to choose from")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(from))).Draw(rt, "choice")
}
