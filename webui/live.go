package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// serveLive tells a page when it is no longer what it would be, as server-sent events. The data of an event is the digest
// of the page; a page that has another one loads itself again. Nothing about a workspace is in it.
func (h *Handler) serveLive(w http.ResponseWriter, r *http.Request, who Viewer) {
	closed, ok := h.streams.open(who)
	if !ok {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "Too many pages are open; this one is not kept up to date.", http.StatusServiceUnavailable)
		return
	}
	defer closed()
	s := &stream{h: h, who: who, w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead { // nobody would see the stream, and the next request on the connection would wait for its end
		return
	}
	s.follow(r.Context())
}

// stream is one open page.
type stream struct {
	h       *Handler
	who     Viewer
	w       http.ResponseWriter
	control *http.ResponseController
	last    uint64
	quiet   time.Time // since when nothing was sent
}

// follow looks once each Config.Refresh, until the page is closed, the handler is, or nobody takes what is sent.
func (s *stream) follow(ctx context.Context) {
	if s.send("retry: 3000\n\n") != nil || s.look(ctx) != nil {
		return
	}
	ticker := s.h.cfg.Clock.NewTicker(max(s.h.cfg.Refresh, 100*time.Millisecond), "webui", "live")
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.h.closing:
			return
		case <-ticker.C:
			if s.look(ctx) != nil {
				return
			}
		}
	}
}

// keepAlive is how long a stream is silent at most, so that no proxy takes it for dead.
const keepAlive = 20 * time.Second

func (s *stream) look(ctx context.Context) error {
	v, err := s.h.cache.survey(ctx)
	if err == nil && !s.who.Operator {
		v, err = s.h.own(ctx, v, s.who)
	}
	if err != nil {
		return nil // the next look may find the store again
	}
	d := digest(v.rows, v.at)
	switch {
	case d != s.last:
		s.last = d
		return s.send(fmt.Sprintf("event: page\ndata: %d\n\n", d))
	case s.h.now().Sub(s.quiet) > keepAlive:
		return s.send(": still here\n\n")
	}
	return nil
}

// sendTime is how long a browser may take with what it is sent. One that reads no more must not keep its stream from others.
const sendTime = 60 * time.Second

func (s *stream) send(text string) error {
	s.quiet = s.h.now()
	// It also keeps a server's WriteTimeout from ending the stream. A writer that knows no deadline needs none.
	deadline := time.Now().Add(sendTime) //nolint:forbidigo // connections live by the machine's clock
	if err := s.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
