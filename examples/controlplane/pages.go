//go:build linux

package main

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// door lets browsers in: a token is shown once, at /login, and kept in a cookie that no script and no other site can use.
type door struct {
	keeper *auth.Keeper
	plane  *dormouse.Plane
	gate   *gate.Gate
	log    *slog.Logger
	secure bool
}

// boundedSource is what the pages are made of, with the bounds that the API has.
type boundedSource struct {
	*planesource.Source
	api *api.API
}

// Act implements [webui.Actor].
func (s boundedSource) Act(ctx context.Context, who webui.Viewer, a webui.Action) error {
	if a.Kind == webui.ActCreate {
		leave, err := s.api.Room(ctx, who.Name, a.Workspace, a.Name)
		if err != nil {
			return err
		}
		defer leave()
	}
	return s.Source.Act(ctx, who, a)
}

type viewerKey struct{}

// viewer says who looks, as [door.guard] has found out.
func viewer(r *http.Request) (webui.Viewer, bool) {
	v, ok := r.Context().Value(viewerKey{}).(webui.Viewer)
	return v, ok
}

// guard sends whoever is not known to the login.
func (d door) guard(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/assets/") {
			pages.ServeHTTP(w, r)
			return
		}
		who, err := d.known(r, auth.Session(r))
		if errors.Is(err, auth.ErrUnknown) {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		var release func()
		if err == nil {
			release, err = d.gate.Enter(r, who)
		}
		if err != nil {
			d.turnAway(w, r, who, err)
			return
		}
		defer release()
		v := webui.Viewer{Name: who.Name, Operator: who.Kind == auth.Admin, Owner: d.plane.OwnerID(who.Name), MayAct: true}
		if r.URL.Path == "/" && !v.Operator {
			http.Redirect(w, r, "/mine", http.StatusSeeOther)
			return
		}
		recorded := &gate.Recorder{ResponseWriter: w}
		pages.ServeHTTP(recorded, r.WithContext(context.WithValue(r.Context(), viewerKey{}, v)))
		d.gate.Answered(r, who, "pages", recorded.Code())
	})
}

// known finds who has a token that is for the pages.
func (d door) known(r *http.Request, token string) (auth.Identity, error) {
	who, err := d.gate.Identify(r, d.keeper, token)
	if err == nil && who.Kind == auth.Worker {
		return auth.Identity{}, auth.ErrUnknown
	}
	return who, err
}

// turnAway says why nothing is shown: nobody is sent to sign in because the database is away.
func (d door) turnAway(w http.ResponseWriter, r *http.Request, who auth.Identity, err error) {
	if errors.Is(err, gate.ErrTooMany) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "These are more requests than a share. Try again in a second.", http.StatusTooManyRequests)
		d.gate.Answered(r, who, "pages", http.StatusTooManyRequests)
		return
	}
	d.log.WarnContext(r.Context(), "who asks cannot be found", "error", err)
	http.Error(w, "The page cannot be shown at the moment.", http.StatusServiceUnavailable)
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Sign in</title></head><body>
<main><h1>Sign in</h1>
<p>Tokens of an admin and of two owners are in the file that the control plane named when it started.</p>
{{with .}}<p role="alert"><strong>{{.}}</strong></p>{{end}}
<form method="post" action="/login"><label>Token <input name="token" type="password" autocomplete="off" required maxlength="128" size="40"></label> <button>Sign in</button></form>
</main></body></html>
`))

// maxLogin bounds the form.
const maxLogin = 4 << 10

func (d door) login(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		d.show(w, "", http.StatusOK)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	if r.ParseForm() != nil {
		d.show(w, "The form cannot be read.", http.StatusBadRequest)
		return
	}
	token := strings.TrimSpace(r.PostForm.Get("token"))
	who, err := d.known(r, token)
	switch {
	case errors.Is(err, auth.ErrUnknown):
		d.show(w, "This token is not valid here.", http.StatusForbidden)
		d.gate.Answered(r, who, "POST /login", http.StatusForbidden)
		return
	case err != nil:
		d.turnAway(w, r, who, err)
		return
	}
	release, err := d.gate.Enter(r, who)
	if err != nil {
		d.turnAway(w, r, who, err)
		return
	}
	defer release()
	d.log.InfoContext(r.Context(), "somebody has signed in", "by", who.Name, "kind", who.Kind, "token", who.Token, "address", gate.Host(r))
	http.SetCookie(w, &http.Cookie{
		Name: auth.Cookie, Value: token, Path: "/", HttpOnly: true, Secure: d.secure, SameSite: http.SameSiteStrictMode, MaxAge: int((12 * time.Hour).Seconds()),
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (d door) show(w http.ResponseWriter, problem string, code int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_ = loginPage.Execute(w, problem)
}

func (d door) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: auth.Cookie, Path: "/", HttpOnly: true, Secure: d.secure, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
