package queue

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dormouse-go/dormouse/invalid"
)

// The two tags with a meaning of their own. Every set has both: a missing scope is [ScopeOrganization], a
// missing owner is empty.
const (
	TagScope = "scope"
	TagOwner = "owner"

	// ScopeOrganization: any worker of the organization; the owner must be empty.
	ScopeOrganization = "organization"
	// ScopeUser: only workers of the user named by the owner tag.
	ScopeUser = "user"
)

// Limits of a tag set. They keep an announcement of a set below the 8,000 bytes of a PostgreSQL notification.
const (
	MaxTags        = 64
	MaxTagKey      = 128
	MaxTagValue    = 512
	MaxTagSetBytes = 2048
)

// TagSet is a set of tags in canonical form: immutable, comparable, usable as a map key. Two sets are equal
// exactly when they hold the same tags. The zero value is the untagged set, that is scope=organization with an
// empty owner and nothing else.
type TagSet struct {
	// Sorted pairs, each key and value as length, colon, bytes. Lengths, not separators: no choice of keys and
	// values can imitate another set. Empty for the untagged set.
	canon string
}

// NewTagSet validates tags and brings them into canonical form. The map is not kept.
func NewTagSet(tags map[string]string) (TagSet, error) {
	if len(tags) == 0 {
		return TagSet{}, nil
	}
	if len(tags) > MaxTags {
		return TagSet{}, invalid.New("tags", len(tags), "must be at most %d tags", MaxTags)
	}
	var few [8]string // on the stack: a tick makes one set for each job
	keys := sortedKeys(few[:0], tags)
	for _, key := range keys {
		if err := checkTag(key, tags[key]); err != nil {
			return TagSet{}, err
		}
	}
	if err := checkScope(tags[TagScope], tags[TagOwner]); err != nil {
		return TagSet{}, err
	}
	set := TagSet{canon: encodeTags(tags, keys)}
	if len(set.canon) > MaxTagSetBytes {
		return TagSet{}, invalid.New("tags", set.canon, "must be at most %d bytes in all", MaxTagSetBytes)
	}
	return set, nil
}

// sortedKeys appends the keys of tags, in order.
func sortedKeys(keys []string, tags map[string]string) []string {
	for key := range tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func checkTag(key, value string) error {
	switch {
	case key == "":
		return invalid.New("tags", key, "a tag's key must not be empty")
	case len(key) > MaxTagKey:
		return invalid.New("tags", key, "a tag's key must be at most %d bytes", MaxTagKey)
	case !isText(key): // before the key is part of a field's name
		return invalid.New("tags", key, "a tag's key must be UTF-8 without control characters")
	case len(value) > MaxTagValue:
		return invalid.New("tags["+key+"]", value, "must be at most %d bytes", MaxTagValue)
	case !isText(value):
		return invalid.New("tags["+key+"]", value, "must be UTF-8 without control characters")
	}
	return nil
}

func checkScope(scope, owner string) error {
	switch {
	case scope != "" && scope != ScopeOrganization && scope != ScopeUser:
		return invalid.New("tags[scope]", scope, "must be organization or user")
	case scope == ScopeUser && owner == "":
		return invalid.New("tags[owner]", owner, "must name the user when the scope is user")
	case scope != ScopeUser && owner != "":
		return invalid.New("tags[owner]", owner, "must be empty unless the scope is user")
	}
	return nil
}

// encodeTags leaves out scope and owner when they have their defaults, so that the untagged set is empty.
func encodeTags(tags map[string]string, keys []string) string {
	var b strings.Builder
	size := 0
	for key, value := range tags {
		size += len(key) + len(value) + len("999:999:")
	}
	b.Grow(size)
	personal := tags[TagScope] == ScopeUser
	for _, key := range keys {
		if !personal && (key == TagScope || key == TagOwner) {
			continue
		}
		writeNetstring(&b, key)
		writeNetstring(&b, tags[key])
	}
	return b.String()
}

func writeNetstring(b *strings.Builder, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
}

// readNetstring splits the first netstring off s; ok is false when s does not start with one.
func readNetstring(s string) (value, rest string, ok bool) {
	digits, rest, found := strings.Cut(s, ":")
	n, err := strconv.Atoi(digits)
	if !found || err != nil || n < 0 || n > len(rest) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// ParseTagSet reads what [TagSet.String] wrote, and nothing else: a text that is not canonical is an error.
func ParseTagSet(canonical string) (TagSet, error) {
	tags := make(map[string]string)
	for rest := canonical; rest != ""; {
		var key, value string
		var okKey, okValue bool
		key, rest, okKey = readNetstring(rest)
		value, rest, okValue = readNetstring(rest)
		if !okKey || !okValue {
			return TagSet{}, invalid.New("canonical", canonical, "must be a canonical tag set")
		}
		tags[key] = value
	}
	set, err := NewTagSet(tags)
	if err == nil && set.canon != canonical {
		err = invalid.New("canonical", canonical, "must be a canonical tag set")
	}
	if err != nil {
		return TagSet{}, err
	}
	return set, nil
}

// String is the canonical text of the set: what a store keeps and compares. It is empty for the untagged set.
func (t TagSet) String() string { return t.canon }

// Map returns the tags as a new map, scope and owner included.
func (t TagSet) Map() map[string]string {
	tags := map[string]string{TagScope: ScopeOrganization, TagOwner: ""}
	for _, tag := range t.list(nil) {
		tags[tag.Key] = tag.Value
	}
	return tags
}

// Untagged reports whether the set asks for nothing in particular.
func (t TagSet) Untagged() bool { return t.canon == "" }

// Tag is one tag of a set.
type Tag struct{ Key, Value string }

// Tags returns the tags that are written out, sorted by key: all but a scope and an owner that have their defaults.
func (t TagSet) Tags() []Tag { return t.list(nil) }

// list appends the tags that are written out, sorted by key; it allocates only if buf is too small.
func (t TagSet) list(buf []Tag) []Tag {
	for rest := t.canon; rest != ""; {
		var tag Tag
		tag.Key, rest, _ = readNetstring(rest)
		tag.Value, rest, _ = readNetstring(rest)
		buf = append(buf, tag)
	}
	return buf
}

// scope returns the two tags that every set has.
func scope(tags []Tag) (scope, owner string) {
	scope = ScopeOrganization
	for _, tag := range tags {
		switch tag.Key {
		case TagScope:
			scope = tag.Value
		case TagOwner:
			owner = tag.Value
		}
	}
	return scope, owner
}

// MarshalText writes the canonical text.
func (t TagSet) MarshalText() ([]byte, error) { return []byte(t.canon), nil }

// UnmarshalText reads the canonical text; anything else is an error.
func (t *TagSet) UnmarshalText(text []byte) error {
	set, err := ParseTagSet(string(text))
	if err == nil {
		*t = set
	}
	return err
}
