package workerpool

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/dormouse-go/dormouse/internal/text"
)

// tagNames are the names of the tags of an instance. They are what survives the pool's process.
type tagNames struct {
	pool, typeName, secret, created string
	behavior, owner, reason, until  string
	uses                            string
}

func newTagNames(prefix string) tagNames {
	return tagNames{
		pool: prefix + "pool", typeName: prefix + "type", secret: prefix + "secret", created: prefix + "created",
		behavior: prefix + "behavior", owner: prefix + "owner", reason: prefix + "reason", until: prefix + "until",
		uses: prefix + "uses",
	}
}

// maxTag is the longest value that the pool writes; see [isName] for the providers with the shortest ones.
const maxTag = maxName

// ofIdentity are the tags that never change in an instance's life.
func (n *tagNames) ofIdentity(pool string, w *Worker) map[string]string {
	return map[string]string{
		n.pool:     pool,
		n.typeName: w.Type,
		n.secret:   w.Secret.String(),
		n.created:  strconv.FormatInt(w.CreatedAt.Unix(), 10),
	}
}

// ofState are the tags that change. It always has all keys: a tag that is left out would stay as it was. Uses are kept of a
// type that bounds them, since each one is another call of the provider.
func (n *tagNames) ofState(r *record) map[string]string {
	b := r.Behavior
	tags := map[string]string{
		n.behavior: b.Idle.String(),
		n.owner:    cut(b.Owner),
		n.reason:   cut(b.Reason),
		n.until:    unixText(b.Until),
	}
	if r.kind.MaxUses > 0 {
		tags[n.uses] = usesText(r)
	}
	return tags
}

func usesText(r *record) string {
	if r.Uses <= 0 {
		return ""
	}
	return strconv.Itoa(int(r.Uses))
}

// same reports whether tags say what they should.
func (n *tagNames) same(r *record, tags map[string]string) bool {
	b, idle := r.Behavior, tags[n.behavior]
	return (idle == b.Idle.String() || idle == "" && b.Idle == BehaviorRun) &&
		tags[n.owner] == cut(b.Owner) && tags[n.reason] == cut(b.Reason) && tags[n.until] == unixText(b.Until) &&
		(r.kind.MaxUses == 0 || tags[n.uses] == usesText(r))
}

func unixText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// tagText is a text of people as tags hold it, and as it may be shown.
func tagText(s string) string { return cut(text.Plain(s)) }

// cut shortens a text to what a tag holds, between two runes.
func cut(s string) string {
	if len(s) <= maxTag {
		return s
	}
	s = s[:maxTag]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s
}

// identity is what an instance's tags say of it. What cannot be read is zero.
type identity struct {
	pool, typeName string
	secret         Secret
	hasSecret      bool
	createdAt      time.Time
	behavior       Behavior
	uses           int32
	// damaged names a tag that is there and cannot be read.
	damaged string
}

func (n *tagNames) read(tags map[string]string) identity {
	id := identity{pool: tags[n.pool], typeName: tags[n.typeName]}
	id.behavior.Owner, id.behavior.Reason = tagText(tags[n.owner]), tagText(tags[n.reason])
	var ok bool
	if id.secret, id.hasSecret = parseSecret(tags[n.secret]); !id.hasSecret && tags[n.secret] != "" {
		id.damaged = n.secret
	}
	if id.createdAt, ok = parseUnix(tags[n.created]); !ok {
		id.damaged = n.created
	}
	if id.behavior.Idle, ok = parseBehavior(tags[n.behavior]); !ok && tags[n.behavior] != "" {
		id.damaged = n.behavior
	}
	if id.behavior.Until, ok = parseUnix(tags[n.until]); !ok {
		id.damaged = n.until
	}
	if text := tags[n.uses]; text != "" {
		uses, err := strconv.ParseInt(text, 10, 32)
		if id.uses = int32(uses); err != nil || uses < 0 {
			id.uses, id.damaged = 0, n.uses
		}
	}
	return id
}

// latestUnix is the end of the year 9999; a number beyond is no instant.
const latestUnix = 253402300799

func parseUnix(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > latestUnix {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

func parseSecret(text string) (s Secret, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(s) {
		return Secret{}, false
	}
	return Secret(raw), true
}

func parseBehavior(text string) (IdleBehavior, bool) {
	for i, name := range behaviorNames {
		if name == text {
			return IdleBehavior(i), true
		}
	}
	return BehaviorRun, false
}
