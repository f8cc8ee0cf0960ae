package buildjobs_test

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A job is stored as encoding/json writes it, whatever is in it: rows of other versions are read by that.
func TestJobsAreStoredAsJSON(t *testing.T) {
	check := func(j lifecycle.Job) bool {
		want, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		j.Tags = nil // those of a posting are checked; here they are any texts
		bare, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded(t, want)) == string(want) && string(encoded(t, bare)) == string(bare)
	}
	random := rand.New(rand.NewSource(1)) //nolint:gosec // a seed makes failures repeatable
	if err := quick.Check(check, &quick.Config{Rand: random, MaxCount: 2000, Values: func(v []reflect.Value, r *rand.Rand) {
		v[0] = reflect.ValueOf(anyJob(r))
	}}); err != nil {
		t.Error(err)
	}
}

// encoded decodes a job and returns the payload that the queue gets.
func encoded(t *testing.T, text []byte) []byte {
	t.Helper()
	var j lifecycle.Job
	if err := json.Unmarshal(text, &j); err != nil {
		t.Fatal(err)
	}
	row, err := buildjobs.JobOf(j, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return row.Payload
}

// anyJob has something in every field, also in those that a later version adds.
func anyJob(r *rand.Rand) lifecycle.Job {
	var j lifecycle.Job
	v := reflect.ValueOf(&j).Elem()
	for i := range v.NumField() {
		switch field := v.Field(i).Addr().Interface().(type) {
		case *lifecycle.Transition:
			*field = lifecycle.Transition(r.Intn(4))
		case *time.Time:
			*field = time.Unix(r.Int63n(1e10), r.Int63n(1e9)).In(time.FixedZone("", 3600*r.Intn(3)))
		case *lifecycle.Reason:
			*field = lifecycle.Reason(anyText(r))
		case *map[string]string:
			*field = map[string]string{}
			for range r.Intn(5) {
				(*field)["k"+anyText(r)] = anyText(r)
			}
		default:
			if some, ok := quick.Value(v.Field(i).Type(), r); ok {
				v.Field(i).Set(some)
			}
		}
	}
	return j
}

func anyText(r *rand.Rand) string {
	texts := []string{"", "plain", `a "quote"`, `back\slash`, "<html> & co", "ümlaut", "\U0001f9a6", "dev-1_x.y"}
	return texts[r.Intn(len(texts))]
}
