package gate

import (
	"sync"
	"time"
)

// shares give everybody so many requests a second, and so many at a time. They forget whoever has been silent.
type shares struct {
	rate, burst float64

	mu    sync.Mutex
	all   map[string]*share
	swept time.Time
}

type share struct {
	left    float64
	at      time.Time
	running int
}

// atOnce is how many requests of one identity run at a time.
const atOnce = 64

func newShares(rate, burst int) *shares {
	return &shares{rate: float64(rate), burst: float64(burst), all: make(map[string]*share), swept: time.Now()}
}

// take counts a request. Call release when it is over.
func (l *shares) take(key string) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.share(key)
	if s.left < 1 || s.running >= atOnce {
		return nil, false
	}
	s.left--
	s.running++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		s.running--
	}, true
}

func (l *shares) share(key string) *share {
	now := time.Now()
	l.sweep(now)
	s, known := l.all[key]
	if !known {
		s = &share{left: l.burst, at: now}
		l.all[key] = s
	}
	s.left = min(l.burst, s.left+l.rate*now.Sub(s.at).Seconds())
	s.at = now
	return s
}

func (l *shares) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for key, s := range l.all {
		if s.running == 0 && now.Sub(s.at) > time.Minute {
			delete(l.all, key)
		}
	}
}
