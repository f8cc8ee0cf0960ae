# A template: parameters a user chooses, values of the owner, and what is made of them.

parameter "cpu" {
  type    = "number"
  default = "4"
  max     = 8
}

parameter "region" {
  default = "eu"
  options = ["eu", "us", "ap"]
}

parameter "disk_gb" {
  type       = "number"
  default    = "20"
  deprecated = "use disk, in gibibytes"
}

locals {
  home   = "/home/${owner.name}"
  admin  = contains(owner.groups, "admins")
  memory = value.cpu * 2
}

resource "volume" "home" {
  size_gb = value.disk_gb
  mount   = local.home
}

resource "box" "main" {
  image  = "registry/${value.region}/dev:${local.admin ? "full" : "slim"}"
  cpu    = value.cpu
  memory = "${local.memory} GiB"
  env = {
    OWNER = owner.name
    HOME  = local.home
    ROLES = join(",", owner.groups)
  }
}
