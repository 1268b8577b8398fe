-- What may be set when a container, a network or a volume is created.
-- Every key and every value that is not listed is refused. Sizes in bytes.

local forms = require("forms")
local json = require("json")
local names = require("names")

local text, one_of, whole, bool = forms.text, forms.one_of, forms.whole, forms.bool
local list, map, object, maybe = forms.list, forms.map, forms.object, forms.maybe

local MOST = 1 << 50 -- of anything that is counted
local SHARED_MEMORY = 64 << 30
local IDENTIFIER = "^[%w][%w_.-]*$"
local CORES = "^[%d,-]*$"
local PORT = "^%d+/[tu][cd]p$"

local creations = {}

local labels = map(text(nil, 1024), text())

local empty = object({})

-- A path in a container where something of its own may be mounted.
local function is_place(value)
  local odd = value:find("//", 1, true) or (value .. "/"):find("/%.%.?/")
  local top = value:match("^/([^/]*)")
  local kernels = top == "proc" or top == "sys" or (top == "dev" and value ~= "/dev/shm")
  return value:find("^/[ -~]+$") ~= nil and not odd and not kernels
end

local TMPFS = { rw = true, ro = true, exec = true, noexec = true, nosuid = true, nodev = true }
TMPFS.U, TMPFS.notmpcopyup = true, true -- Podman's
local TMPFS_VALUES = { mode = "^[01]?[0-7][0-7][0-7]$", uid = "^%d+$", gid = "^%d+$" }
TMPFS_VALUES.size, TMPFS_VALUES.nr_inodes = "^%d+[kmgKMG%%]?$", "^%d+[kmgKMG]?$"

local function are_tmpfs_options(value)
  for option in value:gmatch("[^,]+") do
    local name, said = option:match("^([%a_]+)=(.*)$")
    local form = name and TMPFS_VALUES[name]
    if not TMPFS[option] and not (form and said:find(form)) then
      return false
    end
  end
  return true
end

local function mount(value, where)
  local known = {
    Target = text(is_place, 1024),
    Type = one_of("volume", "tmpfs"),
    ReadOnly = bool,
    Source = maybe(text(names.is_volume)),
    VolumeOptions = object({ NoCopy = bool, Labels = labels }),
  }
  if type(value) == "table" and value.kind == "object" and value.values.Type == "tmpfs" then
    known.VolumeOptions = nil
    known.Source = maybe(one_of(""))
    known.TmpfsOptions = object({ SizeBytes = whole(0, MOST), Mode = whole(0, 1023) }) -- 1777 is 1023
  end
  object(known, { "Target", "Type" })(value, where)
end

-- Not rtprio and nice, which would give a server priority over the rest of the machine.
local LIMITS = one_of(
  "core", "cpu", "data", "fsize", "locks", "memlock",
  "msgqueue", "nofile", "nproc", "rss", "sigpending", "stack"
)

local logs = object({
  Type = one_of("json-file", ""),
  Config = maybe(object({
    ["max-size"] = text("^%d+%.?%d*[kmgKMG]?[iI]?[bB]?$", 32),
    ["max-file"] = text("^%d+$", 9),
  })),
}, { "Type" })

local function security(profile)
  local privileges = one_of("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
  return function(value, where)
    local told = type(value) == "string" and value:match("^seccomp=(.*)$")
    if not told then
      privileges(value, where)
    elseif not profile then
      forms.refuse(where, "the filter has no seccomp profile to compare with")
    elseif not json.same(json.read(told), profile) then
      local mend = "; after git pull: docker compose up -d --build --force-recreate"
      forms.refuse(where, "another seccomp profile than the filter has" .. mend)
    end
  end
end

local function is_host_entry(value)
  local host, address = value:match("^([%w_.-]+):(.+)$")
  return host ~= nil and (address == "host-gateway" or forms.is_address(address))
end

local function is_loopback(value)
  return (forms.ipv4(value) or 0) >> 24 == 127
end

-- At least one: some engines fill an empty list with all addresses of the machine.
local published = object({ HostIp = text(is_loopback), HostPort = one_of("") }, { "HostIp" })

local function host_config(settings)
  local is_network = names.is_network(settings)
  local is_mode = function(value)
    -- The engine's own network, where servers are published, unless the operator named one.
    return (value == "default" and not settings.networks) or value == "none" or is_network(value)
  end
  return object({
    BlkioWeight = whole(0, 1000),
    CapAdd = list(one_of()), -- none
    CapDrop = list(text("^[%u_]+$", 64)),
    CgroupnsMode = one_of("private"),
    CpuPeriod = whole(0, MOST),
    CpuQuota = whole(-1, MOST),
    CpuShares = whole(0, 262144),
    CpusetCpus = text(CORES),
    CpusetMems = text(CORES),
    Dns = list(text(forms.is_address)),
    DnsOptions = list(text("^[%l][%l%d:-]*$", 64)),
    DnsSearch = list(text("^[%w_.-]+$", 255)),
    ExtraHosts = list(text(is_host_entry, 300)),
    GroupAdd = list(text("^[%w_.-]+$", 64)),
    Init = bool,
    IpcMode = one_of("private", "none"),
    LogConfig = logs,
    Memory = whole(0, MOST),
    MemoryReservation = whole(0, MOST),
    MemorySwap = whole(-1, MOST),
    MemorySwappiness = whole(0, 100),
    Mounts = list(mount, 64),
    NanoCpus = whole(0, MOST),
    NetworkMode = text(is_mode),
    OomScoreAdj = whole(0, 1000),
    PidsLimit = whole(1, MOST),
    PortBindings = map(text(PORT, 16), list(published, 8, 1)),
    ReadonlyRootfs = bool,
    RestartPolicy = object({
      Name = one_of("", "no", "always", "unless-stopped", "on-failure"),
      MaximumRetryCount = whole(0, MOST),
    }),
    Runtime = text(names.is_runtime(settings), 128),
    SecurityOpt = list(security(settings.profile), 8),
    ShmSize = whole(0, SHARED_MEMORY),
    StorageOpt = object({ size = text("^%d+%.?%d*[kmgtKMGT]?[iI]?[bB]?$", 32) }),
    Tmpfs = map(text(is_place, 1024), text(are_tmpfs_options)),
    Ulimits = list(object({ Name = LIMITS, Soft = whole(-1, MOST), Hard = whole(-1, MOST) }, { "Name" }), 32),
  }, settings.networks and { "NetworkMode" }) -- if left out, it is the engine's own network
end

function creations.container(settings)
  local address = object({ IPv4Address = text(forms.is_address) })
  local attached = map(text(names.is_network(settings)), maybe(object({ IPAMConfig = address })))
  return object({
    AttachStderr = bool,
    AttachStdin = bool,
    AttachStdout = bool,
    Cmd = list(text()),
    Entrypoint = list(text()),
    Env = list(text()),
    ExposedPorts = map(text(PORT, 16), empty),
    HostConfig = host_config(settings),
    Image = text(names.is_image, 512),
    Labels = map(text(nil, 1024), text(nil, 1 << 17)),
    NetworkDisabled = bool,
    NetworkingConfig = object({ EndpointsConfig = attached }),
    OpenStdin = bool,
    StdinOnce = bool,
    Tty = bool,
    User = text("^[%w_.:-]*$", 255),
  }, { "Image", "HostConfig" })
end

function creations.network(settings)
  local subnet = object({
    Subnet = text(names.is_subnet(settings)),
    IPRange = forms.null,
    Gateway = forms.null,
    AuxiliaryAddresses = forms.null,
  }, { "Subnet" })
  local is_own = names.is_own_network(settings)
  local known = {
    CheckDuplicate = bool,
    Driver = one_of("bridge"),
    IPAM = object({ Driver = one_of("default"), Config = list(subnet, 1, 1) }, { "Config" }),
    Internal = bool,
    Labels = labels,
    Name = names.made_network(settings),
    Options = object({
      ["com.docker.network.bridge.enable_icc"] = one_of("false"),
      ["com.docker.network.bridge.inhibit_ipv4"] = one_of("true"),
      ["com.docker.network.bridge.name"] = text("^tmpn[abco]%-%x+$", 15),
    }),
  }
  local named, sized = object(known, { "Name", "Driver" }), object(known, { "Name", "Driver", "IPAM" })
  return function(value, where)
    named(value, where)
    if is_own(value.values.Name) then -- the engine's own subnets have tens of thousands of addresses
      sized(value, where)
    end
  end
end

function creations.volume()
  return object({ Name = text(names.is_own_volume), Labels = labels, Driver = one_of("local") }, { "Name" })
end

local CONTAINER = text(IDENTIFIER, 255)

creations.join = object({ Container = CONTAINER, EndpointConfig = empty }, { "Container" })
creations.leave = object({ Container = CONTAINER, Force = bool }, { "Container" })

return creations
