//go:build linux

package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// Once it is known when people work, the API's forecast and the page have a band: before, nothing in it is uncertain.
func TestForecastHasABand(t *testing.T) {
	d, _, _, _ := newDoor(t)
	store, quiet := memory.New(), slog.New(slog.DiscardHandler)
	plane, err := dormouse.New(store, dormouse.Config{Logger: quiet})
	must(t, err)
	journal, err := planesource.NewJournal(planesource.JournalConfig{})
	must(t, err)
	source, err := planesource.New(plane, store, planesource.Config{Journal: journal})
	must(t, err)
	_, token, err := d.keeper.Issue(t.Context(), auth.Admin, "root", auth.Work{})
	must(t, err)
	handler := api.New(api.Config{Plane: plane, Store: store, Keeper: d.keeper, Clock: quartz.NewReal(), Logger: quiet, Behavior: source.Behavior})
	template, err := plane.PutTemplate(t.Context(), dormouse.Template{Name: "web", ActiveVersion: uuid.New()})
	must(t, err)
	now := time.Now()
	for name := range strings.FieldsSeq("a b c d e f") {
		w, err := plane.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: name})
		must(t, err)
		for day := 28; day > 0; day -= 1 + len(journal.Sessions(w.ID))%3 { // now and then, for three hours
			for at := now.AddDate(0, 0, -day); at.Before(now.AddDate(0, 0, -day).Add(3 * time.Hour)); at = at.Add(10 * time.Minute) {
				journal.Used(w.ID, at)
			}
		}
	}
	banded := func(h forecast.HourBand) bool { return h.Most.Low < h.Most.High }
	if o := forecastOf(t, handler, token); len(o.Hours) < 7*24 || slices.ContainsFunc(o.Hours, banded) {
		t.Errorf("a band of nobody: %+v", o)
	}
	if strings.Contains(overview(t, source), "band, with people") {
		t.Error("the page shows a band of nobody")
	}
	must(t, source.Learn(t.Context(), now))
	o := forecastOf(t, handler, token)
	if o.Band != 0.8 || !slices.ContainsFunc(o.Hours, banded) {
		t.Errorf("no band: %+v", o)
	}
	for _, h := range o.Hours {
		if h.Most.Low > h.Most.Mean || h.Most.Mean > h.Most.High {
			t.Errorf("%+v", h)
		}
	}
	if !strings.Contains(overview(t, source), "band, with people") {
		t.Error("the page shows no band")
	}
}

func forecastOf(t *testing.T, handler http.Handler, token string) (o forecast.Outlook) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, api.Prefix+"/forecast", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	must(t, json.Unmarshal(w.Body.Bytes(), &o))
	return o
}

// overview is the page of operators.
func overview(t *testing.T, source webui.Source) string {
	t.Helper()
	pages, err := webui.New(source, webui.Config{
		Viewer: func(*http.Request) (webui.Viewer, bool) { return webui.Viewer{Name: "root", Operator: true}, true }, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	defer pages.Close()
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	return w.Body.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
