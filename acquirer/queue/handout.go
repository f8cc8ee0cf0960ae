package queue

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Handout is the right to report on a job and to end it: a lease, and the proof that it was given to the one who presents
// it. A store compares all of it. Whoever knows a job's id and counts its attempts has a [Lease], and no right.
type Handout struct {
	Lease Lease
	// Secret is what the worker got with the job, and nobody else has.
	Secret Secret
	// Organization and Worker are the job's and the one it was given to. A control plane sets both from the identity of
	// who asks, not from what is asked.
	Organization uuid.UUID
	Worker       uuid.UUID
}

// Handout returns the right to work on a job that an acquirer has handed out.
func (j Job) Handout() Handout {
	return Handout{Lease: j.Lease(), Secret: j.Secret, Organization: j.Organization, Worker: j.Worker}
}

// Of reports whether the handout is that of a stored job's last claim. Its time does not depend on how much of the secret is right.
func (h Handout) Of(j *Job) bool {
	hash := h.Secret.Hash()
	return h.Lease == j.Lease() && j.Fence > 0 && h.Organization == j.Organization && h.Worker == j.Worker &&
		j.SecretHash != (SecretHash{}) && subtle.ConstantTimeCompare(hash[:], j.SecretHash[:]) == 1
}

// Secret is the random part of a [Handout], made anew each time a job is handed out. It prints as a placeholder, so that no log
// shows it by accident; as JSON and text it is whole, because it has to reach the worker.
type Secret [32]byte

// SecretHash is what a store keeps of a [Secret]. The zero value is the hash of none.
type SecretHash [sha256.Size]byte

// NewSecret returns a secret that nobody has seen.
func NewSecret() (s Secret) {
	_, _ = rand.Read(s[:]) // it never fails
	return s
}

// Hash returns what a store keeps of the secret.
func (s Secret) Hash() SecretHash { return sha256.Sum256(s[:]) }

const secretPlaceholder = "[secret]"

// Format implements [fmt.Formatter] for all verbs.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(secretPlaceholder)) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(secretPlaceholder) }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, nil
	}
	return base64.RawURLEncoding.AppendEncode(nil, s[:]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret{}
	if len(text) == 0 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil || len(raw) != len(s) {
		return invalid.New("secret", len(text), "must be %d bytes in base64", len(s))
	}
	copy(s[:], raw)
	return nil
}

// Accepts reports whether an end takes effect on a job as it is stored, or took effect before; the two differ by whether the
// job is running. An end that names a process is the control plane's own verdict, and needs no secret.
func (e End) Accepts(j *Job) bool {
	switch {
	case j.Fence < 1 || j.Lease() != e.Lease: // below 1 it was never handed out
		return false
	case e.Process != uuid.Nil && e.Process != j.Process:
		return false
	case e.Process == uuid.Nil && !e.Handout.Of(j):
		return false
	case j.State == Running:
		return true
	}
	target := e.Outcome.State()
	return j.State == target || target == Pending && j.State == Canceled
}

// SecretFor is the hash of the secret for the i-th worker; zero if the claim has none for it.
func (c *Claim) SecretFor(i int) SecretHash {
	if i >= len(c.Secrets) {
		return SecretHash{}
	}
	return c.Secrets[i]
}
