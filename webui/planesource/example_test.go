package planesource_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// The pages of a plane, mounted in the host's own server behind the host's own login.
func Example() {
	quiet := slog.New(slog.DiscardHandler)
	store := memory.New()
	plane, err := dormouse.New(store, dormouse.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	source, err := planesource.New(plane, store, planesource.Config{})
	if err != nil {
		log.Fatal(err)
	}
	pages, err := webui.New(source, webui.Config{
		Prefix: "/workspaces", Actions: true, Logger: quiet,
		Viewer: func(r *http.Request) (webui.Viewer, bool) { // the host's own session says who asks
			name, _, ok := r.BasicAuth()
			return webui.Viewer{Name: name, Operator: name == "ops", Owner: plane.OwnerID(name), MayAct: true}, ok
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pages.Close()
	server := http.NewServeMux()
	server.Handle("/workspaces/", pages)

	for _, name := range []string{"", "ops"} {
		request := httptest.NewRequest(http.MethodGet, "/workspaces/", nil)
		if name != "" {
			request.SetBasicAuth(name, "")
		}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request)
		fmt.Println(answer.Code)
	}
	// Output:
	// 403
	// 200
}
