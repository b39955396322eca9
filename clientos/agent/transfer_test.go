package agent

import (
	"testing"

	"aula/clientos/protocol"
)

func TestWhereAnImageIsFetched(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		image protocol.Image
		want  string
	}{
		"server of the session":    {protocol.Image{}, "https://10.0.0.1:8443/agent/v1/images/win/3/image"},
		"a repository by name":     {protocol.Image{Repository: "attic"}, "https://10.0.0.1:8443/agent/v1/images/win/3/image?repository=attic"},
		"another address":          {protocol.Image{Server: "10.0.9.1"}, "https://10.0.9.1:8443/agent/v1/images/win/3/image"},
		"another address and port": {protocol.Image{Server: "10.0.9.1:99"}, "https://10.0.9.1:99/agent/v1/images/win/3/image"},
		"IPv6":                     {protocol.Image{Server: "fd00::1"}, "https://[fd00::1]:8443/agent/v1/images/win/3/image"},
		"IPv6 in brackets":         {protocol.Image{Server: "[fd00::1]"}, "https://[fd00::1]:8443/agent/v1/images/win/3/image"},
		"IPv6 and port":            {protocol.Image{Server: "[fd00::1]:99"}, "https://[fd00::1]:99/agent/v1/images/win/3/image"},
		"both":                     {protocol.Image{Server: "10.0.9.1", Repository: "attic"}, "https://10.0.9.1:8443/agent/v1/images/win/3/image?repository=attic"},
	}
	transfer := newTransfer("10.0.0.1:8443", identity{})
	for name, test := range tests {
		test.image.Name, test.image.Revision = "win", 3
		if got := transfer.at(test.image, "image").String(); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestTargetInWords(t *testing.T) {
	t.Parallel()
	whole, set, capture := restore("a"), restore("b"), restore("c")
	whole.Parts = []protocol.Part{{Partition: 0}}
	set.Parts = []protocol.Part{{Partition: 1}, {Partition: 5}, {Partition: 6}}
	capture.Kind, capture.Parts, capture.Partition = protocol.CreateImage, nil, 2
	for want, in := range map[string]protocol.Instruct{
		"disk 1, partition 1":  restore("d"),
		"disk 1, partition 2":  capture,
		"disk 1, 3 partitions": set,
		"all of disk 1":        whole,
		"":                     {ID: "e", Kind: protocol.Reboot},
	} {
		if got := target(in); got != want {
			t.Errorf("target: got %q, want %q", got, want)
		}
	}
}
