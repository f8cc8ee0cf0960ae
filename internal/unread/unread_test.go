package unread_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/dormouse-go/dormouse/internal/unread"
)

// known is a document as an earlier version knows it.
type known struct {
	A    int     `json:"a,omitempty"`
	In   inner   `json:"in,omitzero"`
	List []inner `json:"list,omitempty"`
}

type inner struct {
	B string `json:"b,omitempty"`
}

func TestUnread(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		change func(*known)
		want   string
	}{
		"nothing":             {`{"a":1}`, func(k *known) { k.A = 2 }, `{"a":2}`},
		"a member":            {`{"a":1,"z":[1,2.50,null]}`, func(k *known) { k.A = 2 }, `{"a":2,"z":[1,2.50,null]}`},
		"in an empty object":  {`{"z":{}}`, func(*known) {}, `{"z":{}}`},
		"beside what is new":  {`{"z":12345678901234567890}`, func(k *known) { k.In.B = "x" }, `{"in":{"b":"x"},"z":12345678901234567890}`},
		"deep":                {`{"a":1,"in":{"b":"x","z":{"y":1}}}`, func(k *known) { k.In.B = "new" }, `{"a":1,"in":{"b":"new","z":{"y":1}}}`},
		"deep, nothing known": {`{"in":{"z":1}}`, func(k *known) { k.In.B = "new" }, `{"in":{"b":"new","z":1}}`},
		"in a list":           {`{"list":[{"b":"x"},{"b":"y","z":1}]}`, func(k *known) { k.List[1].B = "new" }, `{"list":[{"b":"x"},{"b":"new","z":1}]}`},
		"in a shorter list":   {`{"list":[{"b":"x"},{"b":"y","z":1}]}`, func(k *known) { k.List = k.List[:1] }, `{"list":[{"b":"x"}]}`},
		"what became zero":    {`{"a":1,"z":1}`, func(k *known) { k.A = 0 }, `{"z":1}`},
		"a zero that is said": {`{"a":0,"z":1}`, func(k *known) { k.A = 3 }, `{"a":3,"z":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			k, rest := read(t, c.text)
			c.change(&k)
			if got := write(t, k, rest); !same(t, got, c.want) {
				t.Errorf("%s became %s, want %s", c.text, got, c.want)
			}
		})
	}
}

func TestWhole(t *testing.T) {
	const text = `{"a":"one"}`
	if got := write(t, known{A: 7}, unread.Whole([]byte(text))); got != text {
		t.Errorf("written as %s, want %s", got, text)
	}
	if got := unread.Whole([]byte(text)).Whole(); string(got) != text {
		t.Errorf("the whole is %s", got)
	}
	if got := unread.Whole(nil).Whole(); got == nil {
		t.Error("an empty text was read")
	}
	for _, part := range []unread.Rest{{}, unread.Members(map[string]json.RawMessage{"a": []byte("1")})} {
		if got := part.Whole(); got != nil {
			t.Errorf("%v is a whole: %s", part, got)
		}
	}
}

func TestValuesThatCannotBeWritten(t *testing.T) {
	if _, err := unread.Of([]byte(`{}`), func() {}); err == nil {
		t.Error("a function is read")
	}
	if _, err := unread.Write(func() {}, unread.Rest{}); err == nil {
		t.Error("a function is written")
	}
}

// FuzzUnread reads any object: what is written again says the same, and once more the same.
func FuzzUnread(f *testing.F) {
	f.Add(`{"a":1,"in":{"b":"x","z":[{}]},"list":[{"y":null}],"z":{}}`)
	f.Add(`{"in":null,"list":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var k known
		if json.Unmarshal([]byte(text), &k) != nil {
			t.Skip()
		}
		rest, err := unread.Of([]byte(text), k)
		if err != nil {
			t.Fatal(err)
		}
		once := write(t, k, rest)
		again, rest := read(t, once)
		if !reflect.DeepEqual(again, k) && once != "null" {
			t.Errorf("%q is read as %+v, written as %s and read as %+v", text, k, once, again)
		}
		if twice := write(t, again, rest); !same(t, once, twice) {
			t.Errorf("%q became %s and then %s", text, once, twice)
		}
	})
}

func read(t *testing.T, text string) (k known, rest unread.Rest) {
	t.Helper()
	err := json.Unmarshal([]byte(text), &k)
	if err == nil {
		rest, err = unread.Of([]byte(text), k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k, rest
}

func write(t *testing.T, k known, rest unread.Rest) string {
	t.Helper()
	text, err := unread.Write(k, rest)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// same compares texts by what they say.
func same(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Errorf("%s: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Errorf("%s: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}
