package torrent_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// ownNetwork tells the test's process that it has a network of its own, of which 10.99.0.1 to 10.99.0.29 are its addresses.
const ownNetwork = "AULA_TEST_TORRENT_NETWORK"

// inNetwork runs the test in another process, which has a network of its own; in that one it is false.
func inNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownNetwork) != "" {
		return false
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: this test needs root, for a network namespace")
	}
	for _, tool := range []string{"unshare", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: this machine has no %s", tool)
		}
	}
	t.Parallel() // it mostly waits: other programs are slow to begin
	const script = `ip link set lo up && for i in $(seq 29); do ip address add 10.99.0.$i/32 dev lo || exit; done && exec "$@"`
	run := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-c", script, "sh", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	run.Env = append(os.Environ(), ownNetwork+"=1")
	out, err := run.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: ")):
		t.Skipf("SKIPPED: in part\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Errorf("it did not run\n%s", out)
	default:
		t.Logf("in a network of its own:\n%s", out)
	}
	return true
}
