package build

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseModuleInfo(t *testing.T) {
	section := "license=GPL\x00softdep=pre: realtek post: led-class\x00firmware=rtl_nic/rtl8168d-1.fw\x00" +
		"firmware=rtl_nic/rtl8168d-2.fw\x00depends=libphy,mdio_devres\x00name=r8169\x00\x00"
	want := moduleInfo{
		depends:  []string{"libphy", "mdio_devres"},
		softdeps: []string{"realtek", "led-class"},
		firmware: []string{"rtl_nic/rtl8168d-1.fw", "rtl_nic/rtl8168d-2.fw"},
	}
	if got := parseModuleInfo([]byte(section)); !reflect.DeepEqual(got, want) {
		t.Errorf("module says %+v, want %+v", got, want)
	}
	if got := parseModuleInfo([]byte("depends=\x00name=loop\x00")); !reflect.DeepEqual(got, moduleInfo{}) {
		t.Errorf("a module without dependencies says %+v", got)
	}
}

func TestMatchModules(t *testing.T) {
	kernel := map[string]bool{
		"drivers/net/ethernet/intel/igb/igb": true, "drivers/net/ethernet/intel/ice/ice": true,
		"drivers/net/virtio_net": true, "drivers/block/loop": true, "drivers/block/nbd": true,
	}
	tests := []struct {
		name            string
		module, without []string
		want            []string
		wantErr         string
	}{
		{name: "a folder", module: []string{"drivers/net/ethernet/"},
			want: []string{"drivers/net/ethernet/intel/ice/ice", "drivers/net/ethernet/intel/igb/igb"}},
		{name: "a folder without another", module: []string{"drivers/net/ethernet/"}, without: []string{"drivers/net/ethernet/intel/ice/"},
			want: []string{"drivers/net/ethernet/intel/igb/igb"}},
		{name: "one module, not its neighbours", module: []string{"drivers/block/loop"}, want: []string{"drivers/block/loop"}},
		{name: "a pattern", module: []string{"drivers/*/nbd"}, want: []string{"drivers/block/nbd"}},
		{name: "a module that has gone", module: []string{"drivers/block/floppy"}, wantErr: "no module drivers/block/floppy"},
		{name: "an exception that has gone", module: []string{"drivers/block/loop"}, without: []string{"drivers/block/ps3/"},
			wantErr: "no module drivers/block/ps3/ to leave out"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := recipe{groups: []group{{name: "g", modules: test.module, without: test.without}}}
			got, err := matchModules(r, kernel)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("modules %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestModuleClosure(t *testing.T) {
	info := map[string]section{
		"drivers/net/r8169":       modinfo("depends=libphy", "softdep=pre: realtek crc32c"),
		"drivers/net/phy/libphy":  modinfo("depends=mdio_devres"),
		"drivers/net/phy/realtek": modinfo("depends=libphy"),
		"drivers/net/mdio-devres": modinfo("depends="),
		"drivers/net/unwanted":    modinfo("depends=libphy"),
		"drivers/net/broken":      modinfo("depends=gone"),
	}
	m := &moduleSet{release: "6.12.1", dir: t.TempDir(), byName: make(map[string]string), chosen: make(map[string]moduleInfo)}
	for module := range info {
		m.byName[moduleName(module)] = module
	}
	unpacked := make(map[string]int)
	unpack := func(modules []string) error {
		for _, module := range modules {
			unpacked[module]++
			path := strings.TrimPrefix(m.unpacked(module), m.dir)
			plant(t, m.dir, map[string]string{path: string(elfFile("", info[module]))})
		}
		return nil
	}
	if err := m.closure([]string{"drivers/net/r8169"}, unpack); err != nil {
		t.Fatal(err)
	}
	want := []string{"drivers/net/mdio-devres", "drivers/net/phy/libphy", "drivers/net/phy/realtek", "drivers/net/r8169"}
	if got := slices.Sorted(maps.Keys(m.chosen)); !slices.Equal(got, want) {
		t.Errorf("chosen %v, want %v", got, want)
	}
	for module, times := range unpacked {
		if times != 1 {
			t.Errorf("%s was unpacked %d times", module, times)
		}
	}
	err := m.closure([]string{"drivers/net/broken"}, unpack)
	if err == nil || !strings.Contains(err.Error(), "broken depends on gone") {
		t.Errorf("a dependency that the kernel does not have: error %v", err)
	}
}
