package acquirer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// A message that takes several is the same message in pieces: every part arrives, once.
func TestMessageSplit(t *testing.T) {
	t.Parallel()
	quotes, err := queue.NewTagSet(map[string]string{
		"a": strings.Repeat(`"`, 500), "b": strings.Repeat("\\", 500), "c": strings.Repeat("<", 500), "d": strings.Repeat("&", 480),
	})
	if err != nil {
		t.Fatal(err)
	}
	m := message{Process: uuid.New(), Seq: 7, Ping: true}
	for i := range 50 {
		n := note(queue.Lane{Organization: uuid.New(), Type: strings.Repeat("t", queue.MaxTypeBytes), Tags: quotes, Priority: int16(i)})
		n.lane = queue.Lane{} // it does not travel
		m.Jobs = append(m.Jobs, n)
		m.Taken = append(m.Taken, n)
		m.Freed = append(m.Freed, uuid.New())
		m.Cancel = append(m.Cancel, queue.Lease{Job: uuid.New(), Fence: int64(i)})
	}
	var whole message
	pings := 0
	for _, text := range m.split() {
		if len(text) > queue.MaxMessage {
			t.Fatalf("a message of %d bytes", len(text))
		}
		part, err := parseMessage(text)
		if err != nil {
			t.Fatal(err)
		}
		if part.Process != m.Process || part.Seq != m.Seq {
			t.Fatalf("a piece of another message: %+v", part)
		}
		if part.Ping {
			pings++
		}
		whole.Jobs = append(whole.Jobs, part.Jobs...)
		whole.Taken = append(whole.Taken, part.Taken...)
		whole.Freed = append(whole.Freed, part.Freed...)
		whole.Cancel = append(whole.Cancel, part.Cancel...)
	}
	whole.Process, whole.Seq, whole.Ping = m.Process, m.Seq, pings == 1
	if !reflect.DeepEqual(whole, m) {
		t.Error("the pieces are not the whole")
	}
}

// A message is the text that encoding/json makes of it, whatever is in it. A field that no message here has would be left out unseen.
func TestMessageIsJSON(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	some := func(n uint64) uint64 { return []uint64{0, 1, rng.Uint64N(1000), n}[rng.IntN(4)] }
	id := func() (id uuid.UUID) {
		if rng.IntN(3) > 0 {
			id[rng.IntN(16)], id[15] = byte(rng.Uint32()), byte(rng.Uint32())
		}
		return id
	}
	notes := func() (list []laneNote) {
		for range rng.IntN(3) {
			list = append(list, laneNote{
				Organization: id(), Lane: some(math.MaxUint64), From: int64(some(math.MaxInt64)), Count: int(some(maxNoted)), Process: id(), Seq: some(math.MaxUint64),
			})
		}
		return list
	}
	seen := make(map[string]bool)
	see := func(v reflect.Value) {
		for _, f := range reflect.VisibleFields(v.Type()) {
			name := v.Type().Name() + "." + f.Name
			seen[name] = seen[name] || !f.IsExported() || !v.FieldByIndex(f.Index).IsZero()
		}
	}
	for range 1000 {
		m := message{Process: id(), Seq: some(math.MaxUint64), Ping: rng.IntN(2) == 0, Jobs: notes(), Taken: notes()}
		for range rng.IntN(3) {
			m.Freed = append(m.Freed, id())
			m.Cancel = append(m.Cancel, queue.Lease{Job: id(), Fence: int64(some(math.MaxInt64)) - int64(some(1000))})
		}
		want, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.text(); got != string(want) {
			t.Fatalf("%s\nwant %s", got, want)
		}
		see(reflect.ValueOf(m))
		for _, n := range slices.Concat(m.Jobs, m.Taken) {
			see(reflect.ValueOf(n))
		}
	}
	for name, ok := range seen {
		if !ok {
			t.Errorf("no message has %s", name)
		}
	}
}

// What cannot be said of a lane is no message.
func TestMessagesThatCannotBe(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{"jobs":[{"l":1,"c":0}]}`: true, `{"jobs":[{"l":1,"c":1048576}]}`: true, `{"jobs":[{"l":1,"c":1048577}]}`: false,
		`{"jobs":[{"l":1,"c":-1}]}`: false, `{"jobs":[{"l":1,"f":-1}]}`: false, `{"jobs":[{"l":1},{"l":1,"c":-1}]}`: false, `{`: false,
	} {
		if m, err := parseMessage(text); (err == nil) != ok {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
}

// Each kind of news ends the quiet by itself and beside others.
func TestOutgoingIsQuiet(t *testing.T) {
	t.Parallel()
	news := []func(o *outgoing){
		func(o *outgoing) { o.jobs(queue.Lane{}, 1, 1) },
		func(o *outgoing) { o.taken(queue.Lane{}, dispatch.Source{}) },
		func(o *outgoing) { o.freed(uuid.New()) },
		func(o *outgoing) { o.canceled(queue.Lease{}) },
		func(o *outgoing) { o.ping() },
	}
	for set := range 1 << len(news) {
		o := newOutgoing()
		for i, tell := range news {
			if set>>i&1 == 1 {
				tell(o)
			}
		}
		if got := o.quiet(); got != (set == 0) {
			t.Errorf("%05b: quiet %v", set, got)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add(`{"p":"00000000-0000-0000-0000-000000000001","n":1,"jobs":[{"o":"00000000-0000-0000-0000-000000000002","l":18446744073709551615,"f":3,"c":1}]}`)
	f.Add(`{"jobs":[{"l":1,"c":-1}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMessage(text)
		if err != nil {
			return
		}
		for _, n := range m.Jobs {
			if n.Count < 0 || n.Count > maxNoted || n.From < 0 {
				t.Fatalf("a count that may not be: %+v", n)
			}
		}
		for _, part := range m.split() {
			if _, err := parseMessage(part); err != nil {
				t.Fatalf("does not understand itself: %v", err)
			}
		}
	})
}
