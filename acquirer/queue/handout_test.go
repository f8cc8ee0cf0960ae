package queue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A secret is not printed by whoever prints the job or the handout that it stands in, whatever the verb.
func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	secret := queue.NewSecret()
	job := queue.Job{ID: uuid.New(), Secret: secret}
	text, err := secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "job", job, "secret", secret, "handout", job.Handout())
	printed := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		printed += fmt.Sprintf(verb, secret) + fmt.Sprintf(verb, &secret)
		if verb != "%d" {
			printed += fmt.Sprintf(verb, job) + fmt.Sprintf(verb, job.Handout())
		}
	}
	for _, form := range []string{string(text), fmt.Sprintf("%x", secret[:]), fmt.Sprint(secret[:])[1:40], fmt.Sprintf("%X", secret[:])} {
		if strings.Contains(printed, form) {
			t.Errorf("the secret is printed as %.20q in\n%s", form, printed)
		}
	}
}

// A secret is the same after its way over the wire, the hash does not travel, and what is no secret is refused.
func TestSecretTravels(t *testing.T) {
	t.Parallel()
	job := queue.Job{ID: uuid.New(), Organization: uuid.New(), Worker: uuid.New(), Fence: 1, Secret: queue.NewSecret()}
	job.SecretHash = job.Secret.Hash()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var got queue.Job
	if err := json.Unmarshal(text, &got); err != nil || got.Handout() != job.Handout() || got.SecretHash != (queue.SecretHash{}) {
		t.Errorf("%v: got %+v", err, got)
	}
	for _, bad := range []string{`{"Secret":"AAAA"}`, `{"Secret":"` + strings.Repeat("A", 44) + `"}`, `{"Secret":"*"}`, `{"Secret":[1]}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// No worker says that it is the control plane: the process of an end is no part of what it sends.
func TestProcessOfAnEndDoesNotTravel(t *testing.T) {
	t.Parallel()
	var end queue.End
	if err := json.Unmarshal([]byte(`{"Process":"`+uuid.NewString()+`","Outcome":"failed"}`), &end); err != nil || end.Process != uuid.Nil {
		t.Errorf("%v: process %s", err, end.Process)
	}
}
