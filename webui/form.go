package webui

import (
	"io"
	"net/http"
	"time"
)

const (
	// maxForm bounds a form.
	maxForm = 16 << 10
	// formTime is for how long a form may be on its way. A server with streams cannot have a ReadTimeout, and what is left of a body
	// when a request is answered the server reads: without a limit for ever, also where nobody is known.
	formTime = 30 * time.Second
)

// boundBody bounds for how long the body of a request may be on its way, if it has one and its server does not bound it more tightly. A
// writer that knows no deadline needs none.
func boundBody(w http.ResponseWriter, r *http.Request) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	bounded := server != nil && server.ReadTimeout > 0 && server.ReadTimeout <= formTime
	if r.ContentLength != 0 && !bounded {
		deadline := time.Now().Add(formTime) //nolint:forbidigo // connections live by the machine's clock
		_ = http.NewResponseController(w).SetReadDeadline(deadline)
	}
}

// readForm reads the form of a request. What follows takes its time.
func readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil { // of what is no form it has read nothing
		return err
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return nil
}
