// Adds new decisions to the list of a page, as text and never as markup. Without this script, a reload shows them.
"use strict";

const LONGEST = 50;
const list = document.querySelector("[data-live]");
const state = document.getElementById("live");

function tell(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}

function cell(text, address) {
  const cell = document.createElement("td");
  if (!text) return cell;
  if (address) {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = text;
    cell.append(link);
  } else {
    cell.textContent = text;
  }
  return cell;
}

function row(decision) {
  const row = document.createElement("tr");
  row.className = "new";
  const verdict = document.createElement("td");
  const badge = document.createElement("span");
  badge.className = "badge " + (decision.decision === "allow" ? "good" : "bad");
  badge.textContent = decision.decision;
  verdict.append(badge);
  const code = document.createElement("td");
  if (decision.code) {
    const text = document.createElement("code");
    text.textContent = decision.code;
    code.append(text);
  }
  const endpoint = cell(decision.endpoint, decision.endpoint_url);
  endpoint.className = "wide";
  row.append(cell(decision.time, decision.url), verdict, cell(decision.caller, decision.caller_url), endpoint, code,
    cell(decision.address));
  return row;
}

if (list && window.EventSource) {
  let seen = 0;
  const count = (number) => {
    seen += number;
    tell("on", seen === 1 ? "Live: 1 new decision." : "Live: " + seen + " new decisions.");
  };
  const source = new EventSource(list.dataset.live);
  source.addEventListener("open", () => tell("on", "Live: new decisions appear here."));
  source.addEventListener("error", () => tell("off", "Not live: the connection is lost."));
  source.addEventListener("decision", (event) => {
    list.prepend(row(JSON.parse(event.data)));
    while (list.rows.length > LONGEST) list.deleteRow(-1);
    count(1);
  });
  source.addEventListener("more", (event) => count(Number(event.data)));
}
