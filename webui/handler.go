package webui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

//go:embed assets
var assets embed.FS

//go:embed pages/*.html
var pages embed.FS

// Handler serves the pages. It is safe for concurrent use. Call [Handler.Close] when the server shuts down.
type Handler struct {
	source Source
	cfg    Config
	pages  *template.Template
	mux    *http.ServeMux
	files  map[string]file
	cache  cache
	origin *http.CrossOriginProtection

	streams streams
	closing chan struct{}
	closed  sync.Once
}

// New returns the pages over a source. It starts nothing and asks the source nothing. The error names the field of the
// configuration that cannot be used.
func New(source Source, cfg Config) (*Handler, error) {
	if source == nil {
		return nil, invalid.New("source", nil, "must not be nil")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	h := &Handler{
		source: source, cfg: cfg.withDefaults(), mux: http.NewServeMux(), files: readAssets(),
		origin: http.NewCrossOriginProtection(), closing: make(chan struct{}),
	}
	h.pages = template.Must(template.New("").Funcs(h.functions()).ParseFS(pages, "pages/*.html"))
	h.streams = streams{most: h.cfg.MaxStreams, of: make(map[uuid.UUID]int)}
	h.cache = cache{h: h, asking: make(gate, 1), foretelling: make(gate, 1)}
	h.route()
	return h, nil
}

// Close ends the streams that keep pages up to date, so that a server can shut down: give it to
// [http.Server.RegisterOnShutdown]. Pages are still served.
func (h *Handler) Close() { h.closed.Do(func() { close(h.closing) }) }

func (h *Handler) route() {
	p := h.cfg.Prefix
	h.mux.HandleFunc("GET "+p+"/{$}", h.asViewer(h.serveOperator))
	h.mux.HandleFunc("GET "+p+"/mine", h.asViewer(h.serveOwner))
	h.mux.HandleFunc("POST "+p+"/mine", h.asViewer(h.serveOwner)) // checks working hours, and writes nothing
	h.mux.HandleFunc("GET "+p+"/live", h.asViewer(h.serveLive))
	h.mux.HandleFunc("POST "+p+"/act", h.asViewer(h.serveAct))
	h.mux.HandleFunc("GET "+p+"/assets/{name}", h.serveAsset)
	if p != "" {
		h.mux.Handle("GET "+p+"/{path...}", http.NotFoundHandler())
		h.mux.Handle("GET "+p, http.RedirectHandler(p+"/", http.StatusMovedPermanently))
	}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	boundBody(w, r)
	h.mux.ServeHTTP(w, r)
}

// secure forbids the page everything that it does not need, whatever text found its way into it.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}

// asViewer asks the host who it is. Any POST must come from a page of ours.
func (h *Handler) asViewer(serve func(http.ResponseWriter, *http.Request, Viewer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, ok := h.cfg.Viewer(r)
		if !ok {
			http.Error(w, "You are not allowed to see this page.", http.StatusForbidden)
			return
		}
		if err := h.origin.Check(r); err != nil {
			http.Error(w, "This came from another site and was not done.", http.StatusForbidden)
			return
		}
		serve(w, r, who)
	}
}

// mayAct reports whether the buttons of a viewer work.
func (h *Handler) mayAct(who Viewer) bool {
	_, ok := h.source.(Actor)
	return ok && h.cfg.Actions && who.MayAct
}

// now is the instant of a page.
func (h *Handler) now() time.Time { return h.cfg.Clock.Now() }

// render writes a page once it is whole, so that an error is never in the middle of one.
func (h *Handler) render(w http.ResponseWriter, r *http.Request, page string, data any) {
	var b bytes.Buffer
	if err := h.pages.ExecuteTemplate(&b, page, data); err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// fail says that a page cannot be shown, and the reason to the log alone: it may name what a viewer must not see.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, lifecycle.ErrNotFound):
		http.Error(w, "There is no such workspace.", http.StatusNotFound)
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil: // nobody reads it
	default:
		h.cfg.Logger.ErrorContext(r.Context(), "a page cannot be shown", "path", r.URL.Path, "error", err)
		http.Error(w, "The page cannot be shown at the moment: the fleet could not be read.", http.StatusServiceUnavailable)
	}
}

// file is an asset as it is sent.
type file struct {
	body      []byte
	kind, tag string
}

func readAssets() map[string]file {
	entries, err := assets.ReadDir("assets")
	if err != nil {
		panic(err) // they are part of the program
	}
	files := make(map[string]file)
	for _, e := range entries {
		body, err := assets.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		files[e.Name()] = file{body, kindOf(e.Name()), hex.EncodeToString(sum[:8])}
	}
	return files
}

// kindOf does not ask the machine's own table of types, which may not know one of ours.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// serveAsset answers everybody: there is nothing secret in an asset. Its address has its hash, so it may be kept.
func (h *Handler) serveAsset(w http.ResponseWriter, r *http.Request) {
	f, ok := h.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("ETag", `"`+f.tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// asset is the address of an asset.
func (h *Handler) asset(name string) string {
	return h.cfg.Prefix + "/assets/" + name + "?v=" + h.files[name].tag
}
