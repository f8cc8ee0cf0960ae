package rendercache

import (
	"errors"
	"fmt"
)

var (
	// ErrNoStore is returned by a render, together with its value, to say that the value is good for those who wait
	// for it but must not be kept (it is incomplete, for example). It may be wrapped. Callers of the cache get the
	// value and no error.
	ErrNoStore = errors.New("rendercache: do not keep this value")

	// ErrClosed is the cause of the cancellation that renders see when the cache is closed, and part of the error
	// that callers get whose render failed because of it. Handles return it from Acquire once they are closed.
	ErrClosed = errors.New("rendercache: closed")

	// ErrAbandoned is the cause of the cancellation that a render sees when nobody waits for it any more.
	ErrAbandoned = errors.New("rendercache: every caller has left")

	// ErrGoexit is what callers get whose render ended its goroutine by runtime.Goexit (t.FailNow does that).
	ErrGoexit = errors.New("rendercache: render called runtime.Goexit")

	// ErrRecursive is what a render gets that asks for the very key it is rendering, directly or through the
	// renders it has started: waiting would never end.
	ErrRecursive = errors.New("rendercache: render waits for itself")
)

// PanicError is what every caller gets whose render panicked. The panic does not go on: there is no one goroutine
// that it would belong to.
type PanicError struct {
	// Value is what the render panicked with.
	Value any
	// Stack is the stack of the panicking goroutine, as by debug.Stack.
	Stack []byte
}

// Error implements error. It holds the panic's value but not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("rendercache: render panicked: %v", e.Value) }

// Unwrap returns the panic's value when that is an error, so that errors.Is and errors.As see it.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
