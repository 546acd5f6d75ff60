"""XML-RPC as Python 2.7 read and wrote it, on Python 3's expat and marshaller.

Expat refuses a document with one byte that is not UTF-8 or one character that XML forbids. There are no integers beyond 32
bits, no `i8` and no types with a prefix; `nil` is read and never written. What goes wrong is a fault in Python 2's words.
"""
import builtins
import xmlrpc.client

TYPES = {"methodCall", "methodName", "params", "param", "value", "string", "int", "i4", "boolean", "double",
         "dateTime.iso8601", "base64", "array", "data", "struct", "member", "name", "nil"}


class Unmarshaller(xmlrpc.client.Unmarshaller):
    def start(self, tag, attributes):
        if tag not in TYPES:
            raise TypeError(f"unknown type {tag}")
        super().start(tag, attributes)

    def end_int(self, data):
        if not xmlrpc.client.MININT <= int(data) <= xmlrpc.client.MAXINT:
            raise OverflowError("int exceeds XML-RPC limits")
        self.append(int(data))
        self._value = 0

    dispatch = {**xmlrpc.client.Unmarshaller.dispatch, "int": end_int, "i4": end_int}


def read(document):
    """Parameters and method of a call."""
    target = Unmarshaller()
    parser = xmlrpc.client.ExpatParser(target)
    # Else each line comes by itself, which takes long where there are millions.
    parser._parser.buffer_text, parser._parser.buffer_size = True, 1 << 20
    parser.feed(document)
    parser.close()
    return target.close(), target.getmethodname()


def fault(error):
    """Type and message, as Python 2 showed them."""
    kind = type(error)
    name = f"<type 'exceptions.{kind.__name__}'>" if hasattr(builtins, kind.__name__) else str(kind)
    return xmlrpc.client.Fault(1, f"{name}:{error}")


def answer(document, call, entry):
    """The answer to a document; `call(method, params)` gives the value. `entry` is told what was asked and what went wrong.

    A value that cannot be written is found out after the call has done its work.
    """
    try:
        params, entry["call"] = read(document)
        return xmlrpc.client.dumps((call(entry["call"], params),), methodresponse=True).encode()
    except Exception as error:
        told = fault(error)
        entry["fault"] = told.faultString
        return xmlrpc.client.dumps(told, methodresponse=True).encode()
