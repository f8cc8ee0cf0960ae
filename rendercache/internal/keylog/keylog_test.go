package keylog_test

import (
	"testing"
	"testing/quick"

	"github.com/dormouse-go/dormouse/rendercache/internal/keylog"
)

func TestDecodeIsTheInverseOfAppend(t *testing.T) {
	if err := quick.Check(func(id uint64, at, weight int64) bool {
		buf := keylog.Append([]byte("before"), id, at, weight)
		gotID, gotAt, gotWeight := keylog.Decode([keylog.Size]byte(buf[len("before"):]))
		return len(buf) == len("before")+keylog.Size && gotID == id && gotAt == at && gotWeight == weight
	}, nil); err != nil {
		t.Error(err)
	}
}
