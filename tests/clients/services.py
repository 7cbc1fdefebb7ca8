"""Services that tell people, as their documents describe them: each checks how a request is signed, with Python's own
hashes, and answers as that service does.

    services.py PORT

A line of JSON is printed for each request that was right: its service, and what it would have told.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = b"k\xc3\xa9y"
ASKED = {}
LOCK = threading.Lock()


def sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def recent(seconds):
    assert abs(time.time() - float(seconds)) < 60, seconds


def dingtalk(request, body, query):
    """https://open.dingtalk.com/document/orgapp/customize-robot-security-settings"""
    recent(int(query["timestamp"][0]) / 1000)
    text = query["timestamp"][0] + "\n" + KEY.decode()
    assert query["sign"][0] == base64.b64encode(sha256(KEY, text).digest()).decode()
    told = json.loads(body)
    assert told["msgtype"] == "markdown" and told["at"]["atMobiles"] == ["13800000000"] and "@13800000000" in told["markdown"]["text"]
    # Too much in a minute, as it says with status 200.
    if ASKED["dingtalk"] == 1:
        return 200, {"errcode": 130101, "errmsg": "send too fast"}, None
    return 200, {"errcode": 0, "errmsg": "ok"}, told["markdown"]["title"]


def feishu(request, body, query):
    """https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""
    told = json.loads(body)
    recent(told["timestamp"])
    key = (told["timestamp"] + "\n").encode() + KEY
    assert told["sign"] == base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    return 200, {"code": 0, "msg": "success"}, told["content"]["text"].splitlines()[0]


def wecom(request, body, query):
    """It does not know this robot."""
    assert json.loads(body)["msgtype"] == "markdown"
    return 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, None


def slack(request, body, query):
    told = json.loads(body)
    assert told["attachments"][0]["color"].startswith("#")
    return 200, "ok", told["text"]


def telegram(request, body, query):
    assert request.path == "/telegram/bot12:ab/sendMessage", request.path
    told = json.loads(body)
    assert told["chat_id"] == "-100"
    return 200, {"ok": True, "result": {}}, told["text"].splitlines()[0]


def pagerduty(request, body, query):
    """One request an alert: by its key both are known, what began and what is over."""
    told = json.loads(body)
    assert told["routing_key"].encode() == KEY and len(told["dedup_key"]) == 16 and told["payload"]["severity"] == "critical"
    return 202, {"status": "success", "dedup_key": told["dedup_key"]}, told["event_action"] + " " + told["payload"]["summary"]


def aliyun_sms(request, body, query):
    """https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature"""
    own = request.headers
    algorithm, rest = own["Authorization"].split(" ", 1)
    parts = dict(part.split("=", 1) for part in rest.split(","))
    assert algorithm == "ACS3-HMAC-SHA256" and parts["Credential"] == "id"
    assert own["x-acs-content-sha256"] == hashlib.sha256(body).hexdigest()
    address = urllib.parse.urlsplit(request.path)
    pairs = sorted(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
    quote = lambda text: urllib.parse.quote(text, safe="~")
    asked = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    names = parts["SignedHeaders"].split(";")
    assert names == sorted(names) and "host" in names and "x-acs-date" in names
    lines = "".join(f"{name}:{own[name].strip()}\n" for name in names)
    canonical = "\n".join(["POST", "/", asked, lines, ";".join(names), own["x-acs-content-sha256"]])
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    assert parts["Signature"] == sha256(KEY, text).hexdigest(), canonical
    assert own["x-acs-action"] == "SendSms" and len(own["x-acs-signature-nonce"]) >= 16
    sent = dict(pairs)
    assert sent["PhoneNumbers"] == "13800000000,13900000000" and sent["SignName"] == "值班" and sent["TemplateCode"] == "SMS_1"
    variables = json.loads(sent["TemplateParam"])
    assert all(len(value) <= 35 and "." not in value for value in variables.values()), variables
    return 200, {"Code": "OK", "Message": "OK", "BizId": "1"}, variables


def tencent_sms(request, body, query):
    """https://cloud.tencent.com/document/api/382/52071"""
    own = request.headers
    recent(own["X-TC-Timestamp"])
    date = time.strftime("%Y-%m-%d", time.gmtime(int(own["X-TC-Timestamp"])))
    canonical = "\n".join(
        ["POST", "/", "", f"content-type:{own['Content-Type']}\nhost:{own['Host']}\n", "content-type;host", hashlib.sha256(body).hexdigest()]
    )
    scope = f"{date}/sms/tc3_request"
    text = "\n".join(["TC3-HMAC-SHA256", own["X-TC-Timestamp"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"TC3" + KEY
    for part in [date, "sms", "tc3_request"]:
        key = sha256(key, part).digest()
    expected = f"TC3-HMAC-SHA256 Credential=id/{scope}, SignedHeaders=content-type;host, Signature={sha256(key, text).hexdigest()}"
    assert own["Authorization"] == expected, canonical
    told = json.loads(body)
    assert told["PhoneNumberSet"] == ["+8613800000000"] and told["SignName"] == "值班"
    return 200, {"Response": {"SendStatusSet": [{"Code": "Ok"}], "RequestId": "1"}}, told["TemplateParamSet"]


def own(request, body, query):
    """A gateway of the house: XML in GB18030, an answer in JSON."""
    assert request.headers["X-Key"] == hashlib.sha256(KEY).hexdigest() and request.command == "PUT"
    text = body.decode("gb18030")
    assert text.startswith("<sms>") and text.endswith("</sms>"), text
    return 200, {"result": {"state": "taken"}}, text


class Services(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = urllib.parse.urlsplit(self.path)
        name = address.path.split("/")[1]
        # Both sign what is asked of the root of their host.
        name = name or ("aliyun_sms" if "x-acs-action" in self.headers else "tencent_sms")
        with LOCK:
            ASKED[name] = ASKED.get(name, 0) + 1
        try:
            status, answer, told = globals()[name](self, body, urllib.parse.parse_qs(address.query))
        except Exception as error:
            line = error.__traceback__.tb_next.tb_lineno
            status, answer, told = 400, {"wrong": f"{name}: line {line}: {type(error).__name__} {error}"}, None
        answer = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        if told is not None:
            with LOCK:
                print(json.dumps({"service": name, "told": told}), flush=True)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Services)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
