package memory_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

var hostileDumps = flag.Int("dumps", 2000, "how many hostile dumps to restore")

var (
	dumpNumber = regexp.MustCompile(`-?\b[0-9]{1,18}\b`)
	dumpString = regexp.MustCompile(`"[^"]*"`)
	dumpEnd    = regexp.MustCompile(`"end":[0-9]+`)
)

// dumpUnclean finds a text for people that no verb stores. Schedules that cannot be used, unique keys and what only later versions
// know of a policy are kept as they are.
var dumpUnclean = regexp.MustCompile(`(?i)"(error|message|text|name|note|by|actor)":"[^"]*\\u001b`)

var hostileValues = []string{
	"0", "-1", "-5", "1", "9223372036854775807", "-9223372036854775808", "1e300", "null", "true", `""`, `"exploded"`, `"\u0000\u001b[2J"`,
	`{}`, `[]`, `"` + strings.Repeat("x", 5000) + `"`, `"9999-12-31T23:59:59Z"`, `"0001-01-01T00:00:00Z"`,
	`"00000000-0000-0000-0000-000000000000"`, `"running"`, `"pending"`, `"succeeded"`,
}

// spoil changes some lines of a dump: numbers and texts become hostile ones, lines come twice, are gone or in another order. Its end
// counts the lines that are there.
func spoil(r *rand.Rand, dump string) string {
	all := strings.Split(strings.TrimSuffix(dump, "\n"), "\n")
	for range 1 + r.IntN(3) {
		i := r.IntN(len(all))
		switch r.IntN(8) {
		case 0:
			all = slices.Insert(all, i, all[r.IntN(len(all))])
		case 1:
			all = slices.Delete(all, i, i+1)
		case 2:
			k := r.IntN(len(all))
			all[i], all[k] = all[k], all[i]
		case 3:
			all[i] = strings.TrimSuffix(all[i], "}") + `,"unknown":1}`
		default:
			pattern := dumpNumber
			if r.IntN(2) == 0 {
				pattern = dumpString
			}
			places := pattern.FindAllStringIndex(all[i], -1)
			if len(places) > 0 {
				p := places[r.IntN(len(places))]
				all[i] = all[i][:p[0]] + hostileValues[r.IntN(len(hostileValues))] + all[i][p[1]:]
			}
		}
		if len(all) == 0 {
			return ""
		}
	}
	last := len(all) - 1
	all[last] = dumpEnd.ReplaceAllString(all[last], fmt.Sprintf(`"end":%d`, last))
	return strings.Join(all, "\n") + "\n"
}

// A dump that somebody has changed is refused, or it is a store like any other: it dumps the same again, its texts are as verbs store them, all
// verbs work, and no job is handed out twice.
func TestHostileDumps(t *testing.T) {
	s, _ := lived(t)
	for i := range 6 {
		_, err := s.Enqueue(t.Context(), monday, []queue.Posting{{Type: fmt.Sprint("kind", i%2), Tenant: uuid.New(), Payload: []byte("p")}})
		must(t, err)
	}
	var b bytes.Buffer
	must(t, s.Dump(&b))
	random := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	for range *hostileDumps {
		text := spoil(random, b.String())
		r, err := memory.Restore(strings.NewReader(text), nil)
		if err != nil {
			continue
		}
		accepted++
		use(t, r, text)
	}
	if accepted == 0 || accepted == *hostileDumps {
		t.Errorf("%d of %d were accepted: that shows nothing", accepted, *hostileDumps)
	}
}

func use(t *testing.T, s *memory.Store, text string) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("panic %v in a store restored from\n%.4000s", p, text)
		}
	}()
	ctx := t.Context()
	before := lines(t, s)
	if at := dumpUnclean.FindStringIndex(before); at != nil {
		t.Fatalf("a text that no verb stores: %.200s", before[max(0, at[0]-150):])
	}
	again, err := memory.Restore(strings.NewReader(dumpOf(t, s)), nil)
	if err != nil {
		t.Fatalf("what was accepted once is refused: %v\n%.4000s", err, text)
	}
	if lines(t, again) != before {
		t.Fatalf("restored twice it differs\n%.4000s", text)
	}
	now := monday.AddDate(1, 0, 0)
	p := uuid.New()
	_, err = s.Heartbeat(ctx, queue.Heartbeat{Process: p, Now: now, Name: "p"})
	must(t, err)
	listing, err := s.Ready(ctx, now, queue.ReadyQuery{CountTo: 100})
	must(t, err)
	given := make(map[uuid.UUID]bool)
	for _, l := range listing.Lanes {
		claimed, err := s.Claim(ctx, queue.Claim{
			Token: uuid.New(), Process: p, Now: now, Probes: []queue.Probe{{Lane: l.Lane}}, Workers: make([]uuid.UUID, 50),
		})
		must(t, err)
		for _, j := range claimed.Jobs {
			if given[j.ID] {
				t.Fatalf("job %s is handed out twice\n%.4000s", j.ID, text)
			}
			given[j.ID] = true
			ended, err := s.End(ctx, now, []queue.End{{Handout: queue.Handout{Lease: j.Lease()}, Process: p, Outcome: queue.OutcomeSucceeded}})
			must(t, err)
			if ended[0].Err != nil {
				t.Fatalf("a job that was claimed cannot end: %v\n%.4000s", ended[0].Err, text)
			}
		}
	}
	if _, err := s.PruneJobs(ctx, now.Add(time.Hour), 1000); err != nil {
		t.Fatal(err)
	}
}

func dumpOf(t *testing.T, s *memory.Store) string {
	t.Helper()
	var b bytes.Buffer
	must(t, s.Dump(&b))
	return b.String()
}

// A first line without an end costs no memory.
func TestEndlessDump(t *testing.T) {
	for name, text := range map[string]string{
		"first line": `{"dormouse":1,"x":"` + strings.Repeat("x", 1<<20),
		"unknown":    `{"dormouse":1,"x":1}` + "\n",
	} {
		if _, err := memory.Restore(strings.NewReader(text), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A dump whose texts somebody has changed restores them as verbs would have stored them.
func TestRestoreCleansTexts(t *testing.T) {
	s, _ := lived(t)
	_, err := s.Enqueue(t.Context(), monday, []queue.Posting{{Type: "kind", Tenant: uuid.New()}})
	must(t, err)
	must(t, s.PauseJobs(t.Context(), queue.Pause{At: monday, By: "ann", Note: "ann"}))
	spoiled := strings.NewReplacer(`"Error":""`, `"Error":"\u001b[2J"`, `"ann"`, `"\u001b[2J"`)
	text := ""
	for line := range strings.Lines(dumpOf(t, s)) {
		if !strings.HasPrefix(line, `{"workspace"`) { // they are refused
			line = spoiled.Replace(line)
		}
		text += line
	}
	if n := len(dumpUnclean.FindAllString(text, -1)); n < 3 {
		t.Fatalf("only %d texts were changed", n)
	}
	r, err := memory.Restore(strings.NewReader(text), nil)
	must(t, err)
	if found := dumpUnclean.FindString(dumpOf(t, r)); found != "" {
		t.Errorf("restored as it was: %s", found)
	}
}
