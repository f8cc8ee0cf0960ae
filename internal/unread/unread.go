// Package unread keeps what a stored JSON text says and the version that reads it does not know. A fleet is upgraded one
// process after the other, so an older one rewrites what a newer one has written; what it cannot read has to come through.
//
// What was not read, a [Rest], is a text of its own: the members that the stored text has, at any depth, and the value that was read
// from it, written again, has not. It belongs to the value: a value that takes another's place takes none of it over.
// Arrays keep theirs as long as they have the same length. A member that was not read is not understood either: whether it
// still fits what has changed beside it, nobody can say.
package unread

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unique"
)

// Rest is what was not read of a text. The zero value is nothing, which it almost always is: so it is comparable, as the values are
// that have it, and no larger than a pointer, since ticks copy these by the thousand.
type Rest struct{ text unique.Handle[string] }

func rest(text string) Rest {
	if text == "" {
		return Rest{}
	}
	return Rest{unique.Make(text)}
}

func (r Rest) String() string {
	if r == (Rest{}) {
		return ""
	}
	return r.text.Value()
}

// Names are those of the members of an object that were not read, in order.
func (r Rest) Names() []string {
	return slices.Sorted(maps.Keys(object([]byte(r.String()))))
}

// whole is what the text of a value that could not be read at all begins with. No JSON text does.
const whole = "="

// Whole is for a text of which nothing could be read: it is written again as it was, whatever the value is by then. Who lets such a
// value change asks for [Rest.Whole] before it is written, or loses the change.
func Whole(text []byte) Rest { return rest(whole + string(text)) }

// Whole is the text of which nothing could be read, nil where something was.
func (r Rest) Whole() []byte {
	text, all := strings.CutPrefix(r.String(), whole)
	if !all {
		return nil
	}
	return []byte(text)
}

// Members are those of an object that were not read.
func Members(left map[string]json.RawMessage) Rest {
	if len(left) == 0 {
		return Rest{}
	}
	return rest(string(written(left)))
}

// Of returns what a text has and the value that was read from it has not.
func Of(text []byte, v any) (Rest, error) {
	known, err := json.Marshal(v)
	if err != nil || bytes.Equal(text, known) {
		return Rest{}, err
	}
	return rest(string(beyond(text, known))), nil
}

// Write writes a value with what was not read of the text that it comes from.
func Write(v any, unread Rest) ([]byte, error) {
	known, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return Add(known, unread), nil
}

// Add adds what was not read to a JSON text. Members that both have are those of the text.
func Add(known []byte, unread Rest) []byte {
	if text := unread.Whole(); text != nil {
		return text
	}
	return with(known, []byte(unread.String()))
}

// beyond returns what text has and known has not, nil for nothing.
func beyond(text, known json.RawMessage) json.RawMessage {
	if has, knows := object(text), object(known); has != nil && knows != nil {
		maps.DeleteFunc(has, func(name string, value json.RawMessage) bool {
			if read, ok := knows[name]; ok {
				value = beyond(value, read)
				has[name] = value
			}
			return value == nil
		})
		if len(has) == 0 {
			return nil
		}
		return written(has)
	}
	has, knows := array(text), array(known)
	if len(has) != len(knows) {
		return nil
	}
	for i := range has {
		has[i] = beyond(has[i], knows[i])
	}
	if !slices.ContainsFunc(has, func(item json.RawMessage) bool { return item != nil }) {
		return nil
	}
	return written(has)
}

// with returns known with what it has not.
func with(known, unread json.RawMessage) json.RawMessage {
	if knows, more := object(known), object(unread); knows != nil && more != nil {
		deep := false
		for name, value := range more {
			if read, ok := knows[name]; ok {
				knows[name], deep = with(read, value), true
				delete(more, name)
			}
		}
		if deep {
			known = written(knows)
		}
		return joined(known, more)
	}
	knows, more := array(known), array(unread)
	if len(more) == 0 || len(knows) != len(more) {
		return known
	}
	for i := range knows {
		knows[i] = with(knows[i], more[i])
	}
	return written(knows)
}

// joined adds members to an object that has none of them, behind its own.
func joined(object json.RawMessage, more map[string]json.RawMessage) json.RawMessage {
	if len(more) == 0 {
		return object
	}
	object = bytes.TrimSpace(object)
	own := slices.Clone(object[:len(object)-1])
	if len(bytes.TrimSpace(own)) > 1 {
		own = append(own, ',')
	}
	return append(own, written(more)[1:]...)
}

// object returns the members of a JSON object, nil of anything else.
func object(text json.RawMessage) (members map[string]json.RawMessage) {
	if json.Unmarshal(text, &members) != nil {
		return nil
	}
	return members
}

// array returns the items of a JSON array, nil of anything else.
func array(text json.RawMessage) (items []json.RawMessage) {
	if json.Unmarshal(text, &items) != nil {
		return nil
	}
	return items
}

// written writes what was read from JSON, so it cannot fail.
func written(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
