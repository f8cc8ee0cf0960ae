package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestServes(t *testing.T) {
	l, err := listenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- run(ctx, l, 60) }()
	for path, want := range map[string]string{"/": "The next seven days", "/mine": "juno"} {
		answer, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d without %q", path, answer.StatusCode, want)
		}
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "localhost", "example.com:80"} {
		if l, err := listenLoopback(address); err == nil {
			l.Close()
			t.Errorf("%s is listened on", address)
		}
	}
}

func TestFastClock(t *testing.T) {
	began := time.Now().Add(-time.Minute)
	if got := newFastClock(began, 60).Now().Sub(began); got < time.Hour || got > 2*time.Hour {
		t.Errorf("a minute at sixty times the speed is %v", got)
	}
}
