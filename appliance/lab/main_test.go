package lab

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
)

// tenantVar makes the test program a tenant: a process with a classroom of its own, for tests that end it.
const tenantVar = "AULA_LAB_TEST_TENANT"

func TestMain(m *testing.M) {
	flag.Parse()
	in, status, err := Isolate(prepare)
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

// prepare makes the model disk while there is a network. Without it the tests that need it are skipped.
func prepare() ([]*os.File, error) {
	benchmarks := flag.Lookup("test.run").Value.String() == "^$" // no test runs
	if testing.Short() || benchmarks || os.Getenv(tenantVar) != "" {
		return nil, nil
	}
	if _, err := ModelDisk(context.Background(), modelCache(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "lab: tests of virtual PCs will be skipped:", err)
	}
	return nil, nil
}
