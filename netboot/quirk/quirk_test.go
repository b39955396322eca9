package quirk

import (
	"slices"
	"strings"
	"testing"
)

func TestRulesAreToldToPeople(t *testing.T) {
	rules := Rules()
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = string(r.Quirk)
		if !strings.HasSuffix(r.Does, ".") || !strings.HasSuffix(r.For, ".") {
			t.Errorf("%s: %q, %q: want two sentences", r.Quirk, r.Does, r.For)
		}
		if err := Check(r.Quirk); err != nil {
			t.Errorf("Check: %v", err)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("rules are not in the order of their names, or one is there twice: %v", names)
	}
	for _, q := range []Quirk{AskBootServer, OneOffer, UEFIIPXE, OwnDrivers, ScriptForDisk, ExitToDisk, SlowHTTP} {
		if !slices.Contains(names, string(q)) {
			t.Errorf("%s has no rule", q)
		}
	}
}

func TestCheckNamesTheQuirksThereAre(t *testing.T) {
	err := Check("turbo")
	if err == nil || !strings.Contains(err.Error(), `"turbo"`) || !strings.Contains(err.Error(), "ask-boot-server, exit-to-disk") {
		t.Errorf("Check = %v, want it to name what was asked for and what there is", err)
	}
}

func TestHas(t *testing.T) {
	if s := (Set{OneOffer}); !s.Has(OneOffer) || s.Has(SlowHTTP) || Set(nil).Has(OneOffer) {
		t.Errorf("%v has %s: %v", s, SlowHTTP, s.Has(SlowHTTP))
	}
}
