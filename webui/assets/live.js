// Keeps a page as it would be if it were loaded now. Without this script everything works, with a press on Reload.
"use strict";

(() => {
	const main = document.querySelector("main");
	const state = document.getElementById("live");
	let digest = main.dataset.digest;
	let loading = false;

	// Somebody who types or has chosen something is not interrupted: that part stays as it is until they are done.
	const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea") ||
		[...part.querySelectorAll("input, select, textarea")].some((field) => changed(field));

	const changed = (field) => {
		if (field.type === "checkbox") return field.checked !== field.defaultChecked;
		if (field.matches("select")) return [...field.options].some((o) => o.selected !== o.defaultSelected) && [...field.options].some((o) => o.defaultSelected);
		return field.value !== field.defaultValue;
	};

	// replace puts a part of the new page in the place of the old one, with what was open and where the focus was.
	const replace = (old, next) => {
		if (old.innerHTML === next.innerHTML || busy(old)) return;
		const open = [...old.querySelectorAll("details")].map((d) => d.open);
		const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
		old.replaceWith(next);
		next.querySelectorAll("details").forEach((d, i) => { if (i < open.length) d.open = open[i]; });
		if (focus) document.getElementById(focus)?.focus({preventScroll: true});
	};

	const reload = async () => {
		if (loading || document.hidden) return;
		loading = true;
		try {
			const answer = await fetch(location.href.split("#")[0], {headers: {Accept: "text/html"}, redirect: "error"});
			if (!answer.ok) return;
			const page = new DOMParser().parseFromString(await answer.text(), "text/html");
			const next = page.querySelector("main");
			if (!next) return;
			const parts = [...next.querySelectorAll("[data-part]")];
			const known = [...main.querySelectorAll("[data-part]")];
			if (parts.map((p) => p.dataset.part).join() !== known.map((p) => p.dataset.part).join()) {
				if (busy(main)) return;
				location.reload();
				return;
			}
			known.forEach((old, i) => replace(old, document.adoptNode(parts[i])));
			document.title = page.title;
			digest = next.dataset.digest;
		} finally {
			loading = false;
		}
	};

	const events = new EventSource(main.dataset.live);
	events.addEventListener("open", () => { state.textContent = "Live"; state.title = "This page follows what happens"; });
	events.addEventListener("error", () => { state.textContent = "Reload"; state.title = "Not connected: reload to see what is new"; });
	events.addEventListener("page", (e) => { if (e.data !== digest) reload().catch(() => {}); });
	document.addEventListener("visibilitychange", () => reload().catch(() => {}));
	addEventListener("pagehide", () => events.close());
})();
