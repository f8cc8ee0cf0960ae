package rendercache_test

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
)

// The model: what a cache is, said without concurrency. Its keys are few, so that actions meet.

type key struct{ version, owner, n uint8 }

func (k key) key() rendercache.Key {
	return rendercache.Key{Version: id('v', k.version), Owner: id('o', k.owner), Params: rendercache.Digest{k.n}}
}

func id(kind, n uint8) uuid.UUID { return uuid.UUID{0: kind, 1: n} }

// value says who made it: a value for another key, or of another render, shows at once.
type value struct {
	key    key
	number int
}

// outcome is what a render does in the end.
type outcome string

const (
	succeeds   outcome = "value"
	incomplete outcome = "value that must not be kept"
	fails      outcome = "error"
	failsFirm  outcome = "error that is remembered"
	gaveUp     outcome = "context error"
	panics     outcome = "panic"
	exits      outcome = "end of the goroutine"
)

var outcomes = []outcome{succeeds, succeeds, succeeds, incomplete, fails, failsFirm, gaveUp, panics, exits}

var (
	errPlain = errors.New("plain")
	errFirm  = errors.New("firm")
)

// settings are the cache's.
type settings struct {
	ttl, maxAge, errorTTL, refreshAfter, cleanup time.Duration
}

// entry is a key in the table: rendering (load set, no value), holding a value (load set while it is rendered anew),
// or a remembered failure.
type entry struct {
	load       *flight
	has        bool
	value      value
	used, born time.Duration
	tried      time.Duration // of a refresh that brought nothing, -1 for none
	failed     bool
	until      time.Duration
}

// flight is a render that has not ended. Its number is that of the call that started it.
type flight struct {
	number  int
	key     key
	waiters map[int]bool
	refresh bool // the cache itself waits
	stopped error
}

// answer is what a call has got.
type answer struct {
	value value
	err   error
}

type model struct {
	settings
	now     time.Duration
	entries map[key]*entry
	flights map[int]*flight
	answers map[int]answer
	waiting map[int]*flight
	closed  bool
}

func newModel(s settings) *model {
	return &model{
		settings: s, entries: map[key]*entry{}, flights: map[int]*flight{}, answers: map[int]answer{}, waiting: map[int]*flight{},
	}
}

func (m *model) live(e *entry) bool {
	switch {
	case e.failed:
		return m.now <= e.until
	case e.has:
		return m.now-e.used <= m.ttl && (m.maxAge == 0 || m.now-e.born <= m.maxAge)
	default:
		return true
	}
}

// render is a call of Render that starts now.
func (m *model) render(k key, call int) {
	e := m.entries[k]
	switch {
	case e != nil && e.has && m.live(e):
		e.used = m.now
		m.answers[call] = answer{value: e.value}
		if m.due(e) {
			e.load = &flight{number: call, key: k, waiters: map[int]bool{}, refresh: true}
			m.flights[call] = e.load
		}
	case e != nil && e.failed && m.live(e):
		m.answers[call] = answer{err: errFirm}
	case e != nil && e.load != nil: // being rendered, or expired while being rendered anew
		e.has, e.load.refresh = false, false
		m.wait(e.load, call)
	default:
		f := &flight{number: call, key: k, waiters: map[int]bool{}}
		m.entries[k] = &entry{load: f, tried: -1}
		m.flights[call] = f
		m.wait(f, call)
	}
}

func (m *model) due(e *entry) bool {
	return m.refreshAfter > 0 && e.load == nil && m.now-e.born > m.refreshAfter && (e.tried < 0 || m.now-e.tried > m.refreshAfter)
}

func (m *model) wait(f *flight, call int) {
	f.waiters[call] = true
	m.waiting[call] = f
}

// finish is the end of a render.
func (m *model) finish(f *flight, o outcome) {
	delete(m.flights, f.number)
	a := m.bring(f, o)
	for call := range f.waiters {
		m.answers[call] = a
		delete(m.waiting, call)
	}
	e := m.entries[f.key]
	if e == nil || e.load != f {
		return
	}
	switch {
	case o == succeeds:
		m.entries[f.key] = &entry{has: true, value: a.value, used: m.now, born: m.now, tried: -1}
	case e.has:
		e.load, e.tried = nil, m.now
	case o == failsFirm:
		m.entries[f.key] = &entry{failed: true, until: m.now + m.errorTTL}
	default:
		delete(m.entries, f.key)
	}
}

// bring is what waiters get of an outcome.
func (m *model) bring(f *flight, o outcome) answer {
	switch o {
	case succeeds, incomplete:
		return answer{value: value{f.key, f.number}}
	case fails:
		return answer{err: errPlain}
	case failsFirm:
		return answer{err: errFirm}
	case gaveUp:
		return answer{err: context.Canceled}
	case panics:
		return answer{err: &rendercache.PanicError{Value: "model"}}
	default:
		return answer{err: rendercache.ErrGoexit}
	}
}

// cancel ends the context of a call that waits.
func (m *model) cancel(call int) {
	f := m.waiting[call]
	delete(m.waiting, call)
	m.answers[call] = answer{err: context.Canceled}
	delete(f.waiters, call)
	if len(f.waiters) > 0 || f.stopped != nil {
		return
	}
	f.stopped = rendercache.ErrAbandoned
	if e := m.entries[f.key]; e != nil && e.load == f {
		delete(m.entries, f.key)
	}
}

func (m *model) get(k key) (value, bool) {
	e := m.entries[k]
	if e == nil || !e.has || !m.live(e) {
		return value{}, false
	}
	e.used = m.now
	return e.value, true
}

func (m *model) put(k key, v value) {
	m.remove(k)
	m.entries[k] = &entry{has: true, value: v, used: m.now, born: m.now, tried: -1}
}

// remove takes a key out; a refresh behind it stops, a render that is waited for goes on.
func (m *model) remove(k key) {
	if e := m.entries[k]; e != nil && e.load != nil && e.load.refresh {
		e.load.stopped = rendercache.ErrAbandoned
	}
	delete(m.entries, k)
}

func (m *model) invalidate(concerns func(k key) bool) (n int) {
	for k := range m.entries {
		if concerns(k) {
			m.remove(k)
			n++
		}
	}
	return n
}

// pass lets time pass, with the clean-ups that are due meanwhile.
func (m *model) pass(d time.Duration) {
	end := m.now + d
	for next := m.now.Truncate(m.cleanup) + m.cleanup; next <= end; next += m.cleanup {
		m.now = next
		m.invalidate(func(k key) bool { return !m.live(m.entries[k]) })
	}
	m.now = end
}

func (m *model) len() (n int) {
	for _, e := range m.entries {
		if e.has || e.failed {
			n++
		}
	}
	return n
}

// close ends everything: entries go, renders are told to stop.
func (m *model) close() {
	m.closed = true
	clear(m.entries)
	for _, f := range m.flights {
		if f.stopped == nil {
			f.stopped = rendercache.ErrClosed
		}
	}
}
