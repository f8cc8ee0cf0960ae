package webui_test

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	words "github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/webui"
)

// The frontier's figures are those of Simulate, over the sessions of the last two weeks.
func TestFrontierAgreesWithSimulate(t *testing.T) {
	fleet := scripted()
	lyra := named(t, fleet, "lyra")
	text := page(t, newPages(t, fleet, webui.Config{}), "/?compare=1&ttl=2h&max=3h&t="+lyra.Template.ID.String())

	const fortnight = 14 * 24 * time.Hour
	from := morning.Truncate(time.Hour)
	var members []forecast.Member
	for _, s := range all(t, fleet) {
		if s.Template.ID != lyra.Template.ID {
			continue
		}
		m := forecast.Member{Snapshot: s}
		sessions, err := fleet.Sessions(t.Context(), s.Workspace.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range sessions {
			if !at.Begin.Before(from.Add(-fortnight)) && at.End.Before(from) {
				m.Sessions = append(m.Sessions, forecast.Session{Begin: at.Begin.Add(fortnight), End: at.End.Add(fortnight)})
			}
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b forecast.Member) int {
		return bytes.Compare(a.Snapshot.Workspace.ID[:], b.Snapshot.Workspace.ID[:])
	})
	next := lyra.Template.Policy
	next.DefaultTTL, next.MaxRuntime = 2*time.Hour, 3*time.Hour
	change, err := forecast.WithPolicy("change", next, from)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := forecast.Simulate(slices.Values(members), from, from.Add(fortnight), []forecast.Candidate{{Name: "as it is"}, change}, forecast.SimulateConfig{
		Assumptions: forecast.Assumptions{Beat: 20 * time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"as it is", "with the change"} {
		r := sim.Results[i]
		for _, want := range []string{cell(int(r.Hours + .5)), cell(r.Cold), cell(r.Interrupted)} {
			if row := between(t, between(t, text, `class="cmp fr"`, "</section>"), `<th scope="row">`+name, "</tr>"); !strings.Contains(row, want) {
				t.Errorf("%s: no %s in %s", name, want, row)
			}
		}
		// Counts, since a session may be interrupted several times: more than all of them would be.
		want := words.Count(r.Sessions, "session", "sessions") + ", " + words.Count(r.Cold, "waits", "wait") + " for a start, " +
			words.Count(r.Interrupted, "interruption", "interruptions")
		if !strings.Contains(text, name+": ") || !strings.Contains(text, want) {
			t.Errorf("%s: the points do not say %q", name, want)
		}
	}
	if sim.Results[0].Pain() >= sim.Results[1].Pain() {
		t.Errorf("two hours hurt nobody: %.3f, %.3f", sim.Results[0].Pain(), sim.Results[1].Pain())
	}
	if n := strings.Count(text, `<circle class="dot `); n != 5 { // both policies, and the lengths up to the most
		t.Errorf("%d points, want 5", n)
	}
}

func cell(n int) string {
	text := ""
	for ; n >= 1000; n /= 1000 {
		text = "," + strings.Repeat("0", 3-len(digits(n%1000))) + digits(n%1000) + text
	}
	return `<td class="num">` + digits(n) + text + `</td>`
}

func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + digits(n%10)
}

// idle is a fleet in which nobody is known to have worked.
type idle struct{ webui.Source }

func (idle) Sessions(context.Context, uuid.UUID) ([]forecast.Session, error) { return nil, nil }

// Where nothing is known of people, the page says so and stands.
func TestFrontierWithoutPeople(t *testing.T) {
	fleet := scripted()
	path := "/?compare=1&ttl=2h&t=" + named(t, fleet, "lyra").Template.ID.String()
	for _, c := range []struct {
		source webui.Source
		want   string
	}{
		{bare{fleet}, "does not tell when people work"},
		{idle{bare{fleet}}, "Nobody is known to have worked"},
	} {
		if text := unescaped(page(t, newPages(t, c.source, webui.Config{}), path)); !strings.Contains(text, c.want) || !strings.Contains(text, "In numbers") {
			t.Errorf("the page does not say %q, or lacks the comparison", c.want)
		}
	}
}

// bare is a source without abilities.
type bare struct{ webui.Source }

// crowd is a fleet that is all one owner's.
type crowd struct {
	bare
	owner uuid.UUID
}

func (c crowd) Workspaces(ctx context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		for s, err := range c.Source.Workspaces(ctx) {
			s.Workspace.OwnerID = c.owner
			if !yield(s, err) {
				return
			}
		}
	}
}

// Every workspace of an owner is on one page, and on the page that is asked for by its id.
func TestOwnerPages(t *testing.T) {
	fleet := scripted()
	mine := crowd{bare{fleet}, uuid.New()}
	h := newPages(t, mine, webui.Config{Viewer: owning(mine.owner)})
	seen, pages := map[string]int{}, 0
	for path := "/mine"; path != ""; pages++ {
		text := page(t, h, path)
		if n := strings.Count(text, "<article"); n > 50 {
			t.Fatalf("%s: %d workspaces", path, n)
		}
		for _, s := range all(t, fleet) {
			if id := s.Workspace.ID.String(); strings.Contains(text, `id="w-`+id+`"`) {
				seen[id]++
			}
		}
		_, rest, more := strings.Cut(text, `<p class="pager">`)
		path = ""
		if links, _, ok := strings.Cut(rest, `">Next</a>`); more && ok {
			path = unescaped(links[strings.LastIndex(links, `href="`)+len(`href="`):])
		}
	}
	if want := len(all(t, fleet)); len(seen) != want || pages != (want+49)/50 {
		t.Errorf("%d of %d workspaces on %d pages", len(seen), want, pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is on %d pages", id, n)
		}
		if !strings.Contains(page(t, h, "/mine?at="+id), `id="w-`+id+`"`) {
			t.Errorf("%s is not on its page", id)
		}
		break // one stands for all; each page takes its time
	}
}
