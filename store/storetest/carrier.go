package storetest

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Carrier checks a store and a pubsub that sends messages in its commits against the contract of [queue.Carrier]. Every call of
// open returns an empty store.
func Carrier(t *testing.T, open func(t *testing.T) (queue.Store, queue.Pubsub)) {
	for name, test := range map[string]func(*carrierKit){
		"Sent": carrySent, "Number": carryNumber, "Duplicates": carryDuplicates, "Nothing": carryNothing,
	} {
		t.Run(name, func(t *testing.T) {
			within(t, Options{}.withDefaults(), func(t *testing.T) {
				store, bus := open(t)
				k := &carrierKit{jobKit: newJobKit(t, store, Options{}.withDefaults()), bus: bus, heard: make(heard, 100)}
				k.listen()
				test(k)
			})
		})
	}
}

type carrierKit struct {
	*jobKit
	bus   queue.Pubsub
	heard heard
}

// heard are the messages that a listener gets.
type heard chan string

func (h heard) Message(m string) { h <- m }
func (h heard) Gap()             { h <- "gap" }

func (k *carrierKit) listen() {
	ctx, cancel := context.WithCancel(k.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = k.bus.Listen(ctx, k.heard)
	}()
	k.t.Cleanup(func() { cancel(); <-ended })
	k.next("gap")
}

// next waits for a message, which begins so, and returns the rest.
func (k *carrierKit) next(prefix string) string {
	k.t.Helper()
	select {
	case m := <-k.heard:
		rest, ok := strings.CutPrefix(m, prefix)
		k.must(ok, "a message is sent once and as it is", "heard %.100q, want %q first", m, prefix)
		return rest
	case <-time.After(watchTimeout):
		k.t.Fatalf("broken rule: a message is sent with the jobs\n\theard nothing, want %q", prefix)
	}
	return ""
}

// silence fails the test if something was sent that nobody has asked for.
func (k *carrierKit) silence() {
	k.t.Helper()
	k.noError(k.bus.Publish(k.ctx, "silence"), "Publish")
	k.next("silence")
}

// carry posts with a message.
func (k *carrierKit) carry(parts []string, postings ...queue.Posting) []queue.Job {
	k.t.Helper()
	jobs, err := k.store.Enqueue(k.bus.(queue.Carrier).Carry(k.ctx, parts), k.now, postings)
	k.noError(err, "Enqueue")
	return jobs
}

func carrySent(k *carrierKit) {
	jobs := k.carry([]string{"a ü ' $1 % \\"}, k.postings(3)...)
	k.next("a ü ' $1 % \\")
	for _, j := range jobs {
		k.must(j.Announced, "jobs stored with a message are announced", "%+v", j)
		k.must(!k.get(j.ID).Announced, "that a job was announced is no part of it", "%+v", k.get(j.ID))
	}
	k.silence()
	longest := strings.Repeat("x", queue.MaxMessage-len(strconv.FormatInt(math.MaxInt64, 10)))
	k.must(k.carry([]string{longest, ""}, k.posting())[0].Announced, "a message may have MaxMessage bytes", "it was not sent")
	k.next(longest)
}

// Postings of new and of known tenants, several of one, with several weights.
func carryNumber(k *carrierKit) {
	tenants := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for i := range 12 {
		var postings []queue.Posting
		for n := range 1 + i%4 {
			p := k.posting(ofTenant(tenants[(i+n)%(1+i/4)]))
			p.Weight, p.Priority = 1+(i*n)%3, int16(n%2)
			postings = append(postings, p)
		}
		jobs := k.carry([]string{"from ", " and ", "."}, postings...)
		var from, again int64
		_, err := fmt.Sscanf(k.next("from "), "%d and %d.", &from, &again)
		k.must(err == nil && from == again && from >= 0, "the parts are joined by one number", "%d and %d, %v", from, again, err)
		for _, j := range jobs {
			k.must(from <= j.Order, "the number is above that of no job stored with the message", "%d, of %+v", from, jobs)
		}
		k.claim(1, jobs[0])
	}
}

func carryDuplicates(k *carrierKit) {
	first := k.posting(func(p *queue.Posting) { p.Unique = "one" })
	k.enqueue(first)
	same := k.posting(func(p *queue.Posting) { p.Unique = "one" })
	for _, j := range k.carry([]string{"twice"}, first, same) {
		k.must(j.Duplicate && !j.Announced, "who was there is not announced", "%+v", j)
	}
	k.silence()
	jobs := k.carry([]string{"more"}, first, k.posting())
	k.next("more")
	k.must(!jobs[0].Announced && jobs[1].Announced, "jobs that are stored with a message are announced, and no others", "%+v", jobs)
	k.silence()
}

func carryNothing(k *carrierKit) {
	k.carry([]string{"nothing"})
	bad := k.posting()
	bad.Type = ""
	_, err := k.store.Enqueue(k.bus.(queue.Carrier).Carry(k.ctx, []string{"bad"}), k.now, []queue.Posting{k.posting(), bad})
	k.must(err != nil, "an invalid posting is refused", "it is not")
	k.must(!k.enqueue(k.posting())[0].Announced, "without a message nothing is announced", "it is")
	k.silence()
}
