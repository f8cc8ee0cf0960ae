package unread

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// words are the members in which people write freely. Beside a name that goes, what they say goes too.
var words = []string{"note", "message", "error"}

// Redact puts a text in the place of each of some names in a JSON text, and reports whether there was one. A name is a string value, at any
// depth. In a text that is no JSON it is a name wherever it occurs.
func Redact(text []byte, names []string, by string) (next []byte, found bool) {
	if !json.Valid(text) {
		next = text
		for _, name := range names {
			next = bytes.ReplaceAll(next, []byte(name), []byte(by))
		}
		return next, !bytes.Equal(next, text)
	}
	return redact(text, names, by)
}

func redact(text json.RawMessage, names []string, by string) (next json.RawMessage, found bool) {
	if members := object(text); members != nil {
		named := false
		for name, value := range members {
			var here bool
			if members[name], here = redact(value, names, by); here {
				found, named = true, named || isString(value)
			}
		}
		if !found {
			return text, false
		}
		for name, value := range members {
			if named && slices.Contains(words, strings.ToLower(name)) && isString(value) {
				members[name] = json.RawMessage(`""`)
			}
		}
		return written(members), true
	}
	if items := array(text); items != nil {
		for i := range items {
			var here bool
			items[i], here = redact(items[i], names, by)
			found = found || here
		}
		if !found {
			return text, false
		}
		return written(items), true
	}
	var s string
	if !isString(text) || json.Unmarshal(text, &s) != nil || !slices.Contains(names, s) {
		return text, false
	}
	return written(by), true
}

func isString(text json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte(`"`)) }

// Redact does the same with what was not read.
func (r Rest) Redact(names []string, by string) (next Rest, found bool) {
	text, all := strings.CutPrefix(r.String(), whole)
	if text == "" {
		return r, false
	}
	redacted, found := Redact([]byte(text), names, by)
	if all {
		return Whole(redacted), found
	}
	return rest(string(redacted)), found
}
