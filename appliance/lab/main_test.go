package lab

import (
	"fmt"
	"os"
	"testing"
)

// tenantVar makes the test program a tenant: a process with a classroom of its own, for tests that end it.
const tenantVar = "AULA_LAB_TEST_TENANT"

func TestMain(m *testing.M) {
	in, status, err := Isolate(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	if in == nil {
		os.Exit(status)
	}
	if dir := os.Getenv(tenantVar); dir != "" {
		if err := runTenant(dir); err != nil {
			fmt.Fprintln(os.Stderr, "tenant:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
