# Aula: everything a person types.
#
#   make           builds bin/aula with the client OS, the boot loaders and the console inside
#   make test      runs every test of all three tiers               (TESTS=./netboot/... runs some)
#   make demo      shows the main job in a virtual classroom        (KEEP=1 leaves it up, DEMO_FLAGS=... adds options)
#   make bench     runs the benchmarks, beside the programs that do the same
#   make lint      checks format and suspicious code
#   make update    takes newer Debian packages into the client OS, when there are some
#   make clean     removes what was built; make distclean removes the downloads too
#
# Every target installs the Debian packages that it lacks, says which, and needs root for that only. Downloads and what takes
# long to make are kept in .cache, or in the folder that AULA_CACHE names.

SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS     += --no-print-directory

AULA_CACHE ?= $(CURDIR)/.cache
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
TESTS      ?= ./...
DEMO_FLAGS += $(if $(KEEP),--keep)

# Both programs are static: the agent is alone in its initramfs, aula runs on any machine.
export AULA_CACHE
export CGO_ENABLED := 0
go_build := go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: all agent clientos console test demo bench lint update clean distclean

# --- build ---------------------------------------------------------------------------------------------------------------
# The go command knows by itself what is up to date, and so does aula-clientos; both are asked every time.

all: clientos console
	$(go_build) -o bin/aula ./cmd/aula
	@echo "built bin/aula: make demo shows what it does, bin/aula --help what there is"

agent:
	$(go_build) -o bin/aula-agent ./cmd/aula-agent

# The kernel, the initramfs with the agent, and the boot loaders, from Debian's packages.
clientos: agent
	$(call need,apt dpkg debian-archive-keyring ca-certificates)
	go run -buildvcs=false ./cmd/aula-clientos -cache "$(AULA_CACHE)/clientos" $(CLIENTOS_FLAGS)

update:
	$(MAKE) all CLIENTOS_FLAGS=-update

# The console's foreign assets, pinned by webui/package-lock.json.
console: webui/node_modules/.done

webui/node_modules/.done: webui/package.json webui/package-lock.json webui/vendor.mjs
	cd webui && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent build
	touch $@

# --- run -----------------------------------------------------------------------------------------------------------------

virtual_pcs := qemu-system-x86 ovmf ipxe-qemu iproute2 mmdebstrap grub-pc-bin grub-efi-amd64-bin grub-common \
               fdisk e2fsprogs dosfstools mtools udhcpc dnsmasq-base
filesystems := partclone partimage ntfs-3g e2fsprogs dosfstools xfsprogs btrfs-progs exfatprogs f2fs-tools
disk_tools  := fdisk gdisk util-linux kmod cpio qemu-utils libhivex-bin efibootmgr procps
compressors := lzop gzip zstd lz4 xz-utils bzip2
multicast   := udpcast iproute2 nftables ethtool
net_clients := aria2 transmission-cli nftables isc-dhcp-client kea-admin atftp tftp-hpa curl
dhcp_rivals := dnsmasq-base kea-dhcp4-server
browser     := chromium

test: all
	$(call need,$(virtual_pcs) $(filesystems) $(disk_tools) $(compressors) $(multicast) $(net_clients) $(browser))
	@$(MAKE) lint
	@echo "testing; all that the tests say goes to bin/test.log"; failed=0; \
	go test -v -timeout 60m $(TESTS) 2>&1 | tee bin/test.log | grep --line-buffered -E '^(ok|FAIL|panic:|[?])[[:space:]]|--- (FAIL|SKIP):' || failed=1; \
	if grep -q -E '^(FAIL|panic:)' bin/test.log; then failed=1; grep -v -E '^ *(===|--- PASS)' bin/test.log | tail -n 300; fi; \
	if grep -q -e '--- SKIP:' bin/test.log; then echo "make test: tests were skipped, and a skipped test is no passed one"; failed=1; fi; \
	exit $$failed

demo: all
	$(call need,$(virtual_pcs))
	bin/aula lab demo $(DEMO_FLAGS)

bench: all
	$(call need,$(filesystems) $(disk_tools) $(compressors) $(multicast) $(net_clients) $(virtual_pcs) $(dhcp_rivals))
	go test -tags anacrolix,nosqlite,noboltdb -run '^$$' -bench . -benchmem -timeout 60m ./...

lint:
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w:" $$unformatted; exit 1; fi
	go vet ./...

clean:
	git clean -qfdX -- bin clientos/image netboot/loader/files webui/assets/vendor webui/node_modules

distclean: clean
	rm -rf -- "$(AULA_CACHE)"

# --- Debian packages -----------------------------------------------------------------------------------------------------

# $(call need,PACKAGE...) installs those of the packages that are not installed.
define need
@missing=$$(comm -23 <(printf '%s\n' $(1) | sort -u) \
	<(dpkg-query --show --showformat='$${db:Status-Abbrev}$${Package}\n' 2>/dev/null | sed -n 's/^ii *//p' | sort -u)); \
if [ -n "$$missing" ]; then \
	echo "installing Debian packages:" $$missing; \
	[ "$$(id -u)" = 0 ] || { echo "installing needs root; as root: apt-get install --no-install-recommends" $$missing; exit 1; }; \
	apt-get -q -o DPkg::Lock::Timeout=600 update; \
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $$missing; \
fi
endef
