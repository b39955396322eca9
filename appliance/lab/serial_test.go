package lab

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestSerialWaitsForWhatComesInPieces(t *testing.T) {
	s := newSerial(io.Discard)
	s.power(true)
	go func() {
		for _, piece := range []string{"Debian\r\nmodel lo", "gin", ": "} {
			fmt.Fprint(s, piece)
		}
	}()
	got, err := s.WaitFor(t.Context(), regexp.MustCompile(`(\w+) login:`))
	if err != nil || got != "model login:" {
		t.Errorf("WaitFor = %q, %v", got, err)
	}
}

func TestSerialDoesNotMatchTwice(t *testing.T) {
	s := newSerial(io.Discard)
	s.power(true)
	fmt.Fprint(s, "login: ")
	login := regexp.MustCompile("login:")
	if _, err := s.WaitFor(t.Context(), login); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.WaitFor(ctx, login); err == nil {
		t.Errorf("the second WaitFor found %q again", got)
	}
}

func TestSerialEndsWithThePower(t *testing.T) {
	s := newSerial(io.Discard)
	s.power(true)
	go func() {
		fmt.Fprint(s, "Kernel \x1b[31mpanic\x1b[0m\r\n\r\n")
		s.power(false)
	}()
	_, err := s.WaitFor(t.Context(), regexp.MustCompile("login:"))
	if err == nil || !strings.Contains(err.Error(), "\tKernel panic") {
		t.Errorf("error is %v; want the last words", err)
	}
}

func TestSerialFindsWhatWasSaidBeforeThePowerWentOff(t *testing.T) {
	s := newSerial(io.Discard)
	s.power(true)
	fmt.Fprint(s, "power off")
	s.power(false)
	if _, err := s.WaitFor(t.Context(), regexp.MustCompile("power off")); err != nil {
		t.Error(err)
	}
}

func TestSerialForgetsWhatIsOld(t *testing.T) {
	s := newSerial(io.Discard)
	s.power(true)
	fmt.Fprint(s, "first ")
	line := strings.Repeat("x", 1023) + "\n"
	for range serialKept/len(line) + 1 {
		fmt.Fprint(s, line)
	}
	fmt.Fprint(s, "last")
	if len(s.text) > serialKept {
		t.Errorf("keeps %d bytes, want at most %d", len(s.text), serialKept)
	}
	if _, err := s.WaitFor(t.Context(), regexp.MustCompile("last")); err != nil {
		t.Error("the last is forgotten")
	}
}

func TestLastLines(t *testing.T) {
	text := "one\r\n\r\ntwo\x1b[2J\nthree \n"
	if got, want := lastLines([]byte(text), 2), "\ttwo\n\tthree"; got != want {
		t.Errorf("lastLines = %q, want %q", got, want)
	}
}
