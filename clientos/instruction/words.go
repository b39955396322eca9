package instruction

import (
	"strconv"
	"strings"
)

// A word is one that begins a statement, and what is known of it.
type word struct {
	name    string
	alias   string // of OpenGnsys' engine
	usage   string
	help    string
	example string
	options []string
	first   bool // only as the first statement
	last    bool // no statement after it

	parse func(*parser, *Statement)
	// write is the arguments as parse reads them back.
	write func(s Statement, options []string) []string
}

// A Help is what people are told of a word.
type Help struct {
	Word    string `json:"word"`
	Usage   string `json:"usage"`
	Help    string `json:"help"`
	Example string `json:"example"`
}

// Words lists the words of the language, those that are used most first.
func Words() []Help {
	all := make([]Help, len(words))
	for i, w := range words {
		all[i] = Help{Word: w.name, Usage: w.usage, Help: w.help, Example: w.example}
	}
	return all
}

// wordOf finds a word by its name in whatever case; nil when there is none.
func wordOf(name string) *word {
	for i := range words {
		if strings.EqualFold(words[i].name, name) || words[i].alias != "" && strings.EqualFold(words[i].alias, name) {
			return &words[i]
		}
	}
	return nil
}

var (
	ofPartition = []string{optRevision, optFallback, optLayout, optPlain}
	ofDisk      = []string{optFallback, optGrow, optSetDisk, optPlain}
)

var words = []word{
	{
		name: DeployImage, parse: deploys.parsePartition, write: deploys.writePartition, options: ofPartition,
		usage:   "deployImage REPO|CACHE|REPOSITORY IMAGE DISK PART [PROTOCOL [PARAMETERS]] [revision=N] [fallback=NONE|UNICAST|MULTICAST] [layout] [plain]",
		help:    "brings an image into the cache, unless it is there, restores it to a partition, and configures the system in it",
		example: "deployImage REPO windows11 1 2 MULTICAST 9000:full-duplex:239.194.17.36:90M:20:60",
	},
	{
		name: RestoreImage, parse: restores.parsePartition, write: restores.writePartition, options: ofPartition,
		usage:   "restoreImage REPO|CACHE|REPOSITORY IMAGE DISK PART [PROTOCOL [PARAMETERS]] [revision=N] [fallback=NONE|UNICAST|MULTICAST] [layout] [plain]",
		help:    "restores an image straight to a partition, without the cache unless -CACHE is written",
		example: "restoreImage REPO windows11 1 2 UNICAST",
	},
	{
		name: UpdateCache, parse: parseUpdateCache, write: writeUpdateCache, options: []string{optRevision},
		usage:   "updateCache REPO|REPOSITORY IMAGE [PROTOCOL [PARAMETERS]] [revision=N]",
		help:    "brings an image into the cache, unless the same is there",
		example: "updateCache REPO windows11 TORRENT peer:60",
	},
	{
		name: DeployDiskImage, parse: deploys.parseDisk, write: deploys.writeDisk, options: ofDisk,
		usage:   "deployDiskImage REPO|CACHE|REPOSITORY SET DISK [PROTOCOL [PARAMETERS]] [fallback=NONE|UNICAST|MULTICAST] [grow=PART] [setdisk=N] [plain]",
		help:    "deploys a whole PC through the cache: layout, boot code and all partitions of a set of images",
		example: "deployDiskImage REPO classroom4 1 MULTICAST",
	},
	{
		name: RestoreDiskImage, parse: restores.parseDisk, write: restores.writeDisk, options: ofDisk,
		usage:   "restoreDiskImage REPO|CACHE|REPOSITORY SET DISK [PROTOCOL [PARAMETERS]] [fallback=NONE|UNICAST|MULTICAST] [grow=PART] [setdisk=N] [plain]",
		help:    "restores a whole PC straight to the disk: layout, boot code and all partitions of a set of images",
		example: "restoreDiskImage REPO classroom4 1 MULTICAST grow=2",
	},
	{
		name: CreateImage, parse: parseCreateImage, write: writeCreateImage,
		usage:   "createImage DISK PART REPO|REPOSITORY IMAGE [ZSTD|LZOP|GZIP[:LEVEL]]",
		help:    "makes an image of a partition, or a new revision of one that there is",
		example: "createImage 1 2 REPO windows11",
	},
	{
		name: CreateDiskImage, parse: parseCreateDiskImage, write: writeCreateDiskImage,
		usage:   "createDiskImage DISK REPO|REPOSITORY SET [ZSTD|LZOP|GZIP[:LEVEL]]",
		help:    "makes a set of images of a whole disk: layout, boot code and each partition",
		example: "createDiskImage 1 REPO classroom4 ZSTD:9",
	},
	{
		name: PartitionDisk, parse: parsePartitionDisk, write: writePartitionDisk, options: []string{optBoot, optCache},
		usage:   "partitionDisk DISK MSDOS|GPT [N:]TYPE:SIZE[:FILESYSTEM[:LABEL]] ... [boot=N] [cache=keep|none|SIZE]",
		help:    "makes a new partition table and filesystems; everything on the disk but the cache is lost",
		example: `partitionDisk 1 GPT EFI:512M:FAT32 NTFS:100G:NTFS:Windows LINUX:*:EXT4 cache=keep`,
	},
	{
		name: FormatPartition, alias: "ogFormat", parse: parseFormatPartition, write: writeFormatPartition,
		usage:   "formatPartition DISK PART FILESYSTEM [LABEL]",
		help:    "makes an empty filesystem in a partition",
		example: `formatPartition 1 3 EXT4 "Data of room 4"`,
	},
	{
		name: InitCache, parse: parseInitCache, write: writeInitCache,
		usage:   "initCache [DISK] SIZE|keep|delete",
		help:    "makes, resizes or deletes the cache partition at the end of a disk",
		example: "initCache 1 60G",
	},
	{
		name: DeleteCachedImage, parse: parseDeleteCached, write: writeDeleteCached,
		usage:   "deleteCachedImage IMAGE ...",
		help:    "removes images from the cache",
		example: "deleteCachedImage windows10 ubuntu2204",
	},
	{
		name: ConfigureOS, parse: parsePlace, write: writePlace,
		usage:   "configureOs DISK PART",
		help:    "tells a restored system of the PC that it is on: size of its partition, name, boot entry, scripts",
		example: "configureOs 1 2",
	},
	{
		name: WakeUp, parse: parseWakeUp, write: writeWakeUp, first: true,
		usage:   "wakeUp [SECONDS]",
		help:    "wakes the PCs by network, and waits for them as long as said",
		example: "wakeUp 300",
	},
	{
		name: Reboot, parse: parseNothing, write: writeNothing,
		usage:   "reboot",
		help:    "restarts the PC, which then boots what the server says",
		example: "reboot",
	},
	{
		name: BootOS, parse: parseBootOS, write: writeBootOS, last: true,
		usage:   "bootOs [DISK PART]",
		help:    "starts the system that is installed on the PC",
		example: "bootOs 1 2",
	},
	{
		name: PowerOff, parse: parseNothing, write: writeNothing, last: true,
		usage:   "poweroff",
		help:    "switches the PC off",
		example: "poweroff",
	},
}

func parseNothing(*parser, *Statement) {}

func writeNothing(Statement, []string) []string { return nil }

func parsePlace(p *parser, s *Statement) {
	p.disk(s)
	p.partition(s)
}

func writePlace(s Statement, _ []string) []string {
	return []string{strconv.Itoa(s.Disk), strconv.Itoa(s.Partition)}
}

func parseBootOS(p *parser, s *Statement) {
	if _, ok := p.peek(); ok {
		parsePlace(p, s)
	}
}

func writeBootOS(s Statement, _ []string) []string {
	if s.Disk == 0 {
		return nil
	}
	return writePlace(s, nil)
}

func parseWakeUp(p *parser, s *Statement) {
	if _, ok := p.peek(); ok {
		s.Seconds = p.number("number of seconds", maxSeconds)
	}
}

func writeWakeUp(s Statement, _ []string) []string {
	if s.Seconds == 0 {
		return nil
	}
	return []string{strconv.Itoa(s.Seconds)}
}
