package lifecycle_test

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Every value of an enumeration has a text that is read as that value; anything else is refused by name.
func TestNames(t *testing.T) {
	for values, names := range map[any]string{
		new(lifecycle.Transition):  "none start stop delete",
		new(lifecycle.JobStatus):   "none pending running canceling succeeded failed canceled",
		new(lifecycle.OwnerStatus): "active dormant suspended",
		new(lifecycle.Status):      "new starting running stopping stopped deleting deleted canceling canceled failed dormant needs_attention managed",
		new(lifecycle.Topic):       "audit notice post",
		new(lifecycle.Rule):        "none extend autostop autostart start_retry failed_cleanup dormancy autodelete reminder delete_reminder",
	} {
		v := reflect.ValueOf(values).Elem()
		for i, name := range strings.Fields(names) {
			if err := values.(encoding.TextUnmarshaler).UnmarshalText([]byte(name)); err != nil || v.Uint() != uint64(i) {
				t.Errorf("%T: %q is read as %d, %v", values, name, v.Uint(), err)
			}
			text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
			if err != nil || string(text) != name || fmt.Sprint(v.Interface()) != name {
				t.Errorf("%T %d: %s, %v", values, i, text, err)
			}
		}
		if err := values.(encoding.TextUnmarshaler).UnmarshalText([]byte("nap")); err == nil || !strings.Contains(err.Error(), `"nap"`) {
			t.Errorf("%T: nap gives %v", values, err)
		}
		v.SetUint(99)
		if _, err := v.Interface().(encoding.TextMarshaler).MarshalText(); err == nil || fmt.Sprint(v.Interface()) != "unknown(99)" {
			t.Errorf("%T 99 is %v, %v", values, v.Interface(), err)
		}
	}
}
