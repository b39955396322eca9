package appliance

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The appliance's services end together when one fails; the querier is none of them.
func TestServerThatMayNotAskForGroupsWarnsAndGoesOn(t *testing.T) {
	var said bytes.Buffer
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the right is taken from this thread alone, which ends with it
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		err := unix.Capset(&header, &none[0])
		if err == nil {
			keepMulticastForwarded(t.Context(), "lo", slog.New(slog.NewTextHandler(&said, nil)))
		}
		done <- errors.Join(err, t.Context().Err())
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := said.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "CAP_NET_RAW (run as root)") {
		t.Errorf("the log says %q, want a warning that names the right", got)
	}
}
