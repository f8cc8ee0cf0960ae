package storetest

import (
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobValueTests = []jobTest{
	{"Texts", valuesTexts},
	{"TextsOfProcessesAndPauses", valuesTextsOfPeople},
	{"InputIsCopied", valuesIn},
	{"OutputIsCopied", valuesOut},
	{"TimesAreUTCMicroseconds", valuesTimes},
	{"TagSets", valuesTags},
	{"BigPayload", valuesBig},
	{"NilStaysEmpty", valuesNil},
}

func valuesIn(k *jobKit) {
	p := k.posting()
	p.Payload = []byte("payload")
	k.enqueue(p)
	copy(p.Payload, "XXXXXXX")
	job := k.claim(1, k.get(p.ID))[0]
	k.must(string(job.Payload) == "payload", "values are copied on the way in", "payload became %q", job.Payload)

	result := []byte("result")
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded, Result: result})
	copy(result, "XXXXXX")
	k.must(string(k.get(job.ID).Result) == "result", "values are copied on the way in", "result became %q", k.get(job.ID).Result)
}

func valuesOut(k *jobKit) {
	p := k.posting()
	p.Payload = []byte("payload")
	spoil := func(j queue.Job) { copy(j.Payload, "XXXXXXX"); copy(j.Result, "XXXXXXX") }
	spoil(k.enqueue(p)[0])
	spoil(k.get(p.ID))
	job := k.claim(1, k.get(p.ID))[0]
	right := k.handout(job)
	spoil(job)
	k.end(queue.End{Handout: right, Outcome: queue.OutcomeSucceeded, Result: []byte("result")})
	spoil(k.get(p.ID))
	stored := k.get(p.ID)
	k.must(string(stored.Payload) == "payload" && string(stored.Result) == "result", "values are copied on the way out", "payload %q, result %q", stored.Payload, stored.Result)
}

func valuesTimes(k *jobKit) {
	zone := time.FixedZone("far", 5*3600+1800)
	k.now = time.Date(2026, 7, 1, 23, 59, 59, 987654000, time.UTC)
	job := k.enqueue(k.posting(notBefore(k.now.Add(time.Hour + 999*time.Nanosecond).In(zone))))[0]
	want := k.now.Add(time.Hour)
	for name, got := range map[string]time.Time{"returned": job.ReadyAt, "stored": k.get(job.ID).ReadyAt} {
		k.must(got.Equal(want) && got.Location() == time.UTC, "times are UTC with whole microseconds", "%s ReadyAt %s, want %s", name, got, want)
	}
	k.must(k.get(job.ID).CreatedAt == k.now, "a stored time compares equal by ==", "%s, want %s", k.get(job.ID).CreatedAt, k.now)
	k.must(job.StartedAt.IsZero() && job.EndedAt.IsZero() && job.CancelAt.IsZero(), "a time that has not come is the zero time", "%+v", job)
}

func valuesTags(k *jobKit) {
	sets := []map[string]string{
		nil,
		{"scope": "organization"},
		{"scope": "user", "owner": "a"},
		{"a": "1:b", "c": ""},
		{"a": "", "1:b": "c"},
		{"quote": `'"\`, "percent": "%_%", "json": `{"a":1}`},
		{"ü": "日本", "emoji": "🐭"},
		{"long": strings.Repeat("x", queue.MaxTagValue)},
	}
	var posted []queue.Job
	for _, tags := range sets {
		posted = append(posted, k.enqueue(k.posting(withTags(tags)))...)
	}
	k.must(posted[0].Lane() == posted[1].Lane(), "tag sets that mean the same are the same lane", "%+v and %+v", posted[0].Lane(), posted[1].Lane())
	k.must(len(k.ready().Lanes) == len(sets)-1, "different tag sets are different lanes", "%d lanes, want %d", len(k.ready().Lanes), len(sets)-1)
	for _, want := range posted[2:] {
		got := k.claim(5, want)
		k.must(len(got) == 1 && got[0].ID == want.ID && got[0].Tags == want.Tags, "a job is found by its tag set, whatever the tags hold", "tags %v", want.Tags.Map())
	}
}

func valuesBig(k *jobKit) {
	p := k.posting()
	p.Payload = []byte(strings.Repeat("0123456789abcdef", queue.MaxPayload/16))
	k.enqueue(p)
	k.must(reflect.DeepEqual(k.get(p.ID).Payload, p.Payload), "a payload of the largest size is kept", "it is not")
}

func valuesTexts(k *jobKit) {
	const spoilt, want = "a\x00b\xff\x1b[2J\u202e\r\nc\td", "a\uFFFDb\uFFFD\uFFFD[2J\uFFFD c\td"
	job := k.running()
	k.renew(queue.Renewal{
		Handout: k.handout(job), Process: k.process, Progress: &queue.Progress{Message: spoilt},
		Lines: []queue.Line{{At: k.now, Text: spoilt}},
	})
	lines, err := k.store.Lines(k.ctx, job.ID, 0, 1)
	k.noError(err, "Lines")
	message := k.get(job.ID).Progress.Message
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeFailed, Error: spoilt})
	ended := k.get(job.ID)
	k.must(len(lines) == 1 && lines[0].Text == want && message == want && ended.Error == want,
		"what is no UTF-8 in a text, a control character or a hidden one, comes back as U+FFFD, a line break as a blank", "lines %q, message %q, error %q", lines, message, ended.Error)
	pending := k.enqueue(k.posting())[0]
	k.must(k.cancel(spoilt, pending)[0].Error == want, "the reason of a cancellation is a text", "%q", k.get(pending.ID).Error)
}

func valuesNil(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	ended := k.get(job.ID)
	k.must(len(ended.Payload) == 0 && len(ended.Result) == 0 && ended.Trace == "" && ended.Error == "", "what was not given stays empty", "%+v", ended)
	k.must(ended.Tenant == job.Tenant && ended.Tenant != uuid.Nil, "the tenant is kept", "%s", ended.Tenant)
}

func valuesTextsOfPeople(k *jobKit) {
	for _, text := range []struct{ given, want string }{
		{spoilt, unspoilt},
		{strings.Repeat("x", 3*queue.MaxNote), queue.CleanText(strings.Repeat("x", 3*queue.MaxNote), queue.MaxActor)},
		{"\xff" + strings.Repeat("ü", queue.MaxNote), ""}, // cut between two characters, wherever that is
	} {
		fleet, err := k.store.Heartbeat(k.ctx, queue.Heartbeat{Process: k.process, Name: text.given, Now: k.now})
		k.noError(err, "Heartbeat")
		p, _ := k.find(fleet, k.process)
		scope := queue.Scope{Organization: k.org}
		k.pause(queue.Pause{Scope: scope, By: text.given, Note: text.given})
		pauses, err := k.store.Pauses(k.ctx, k.now)
		k.noError(err, "Pauses")
		by, note := "", ""
		for _, pause := range pauses {
			if pause.Scope == scope {
				by, note = pause.By, pause.Note
			}
		}
		k.must(text.want == "" || p.Name == text.want && by == text.want,
			"the name of a process and of who pauses has no control or hidden characters and an end", "%q and %q, want %q", p.Name, by, text.want)
		for what, stored := range map[string]string{"name of a process": p.Name, "who pauses": by, "note of a pause": note} {
			k.must(utf8.ValidString(stored) && stored != "" && len(stored) <= queue.MaxNote && !strings.ContainsAny(stored, "\x00\x1b\n\u202e"),
				"a text is stored clean", "%s: %q", what, stored)
		}
		k.resume(scope)
	}
}
